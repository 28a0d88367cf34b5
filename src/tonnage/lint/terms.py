"""From an expression of Python's syntax tree to a term of the outline."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tonnage.lint.model import UNREAD
from tonnage.lint.outline import (
    Call,
    Choice,
    Items,
    Joined,
    Meaning,
    Name,
    Opaque,
    Repeated,
    Span,
    Starred,
    Term,
    Value,
)

PLAIN = Value(UNREAD)
OPAQUE = Opaque()

_MAX_DEPTH = 40
_MAX_ITEMS = 40
_MAX_TEXT = 500

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
}


class Terms:
    """Makes the terms of one file; `lines` are its lines as bytes, to count columns in."""

    def __init__(self, lines: Sequence[bytes] | None) -> None:
        # None: all of it is ASCII, so that the parser's bytes are columns.
        self._lines = lines

    def span(self, node: ast.expr | ast.stmt) -> Span:
        """Where a node stands."""
        end_line = node.end_lineno or node.lineno
        return (
            node.lineno,
            self._column(node.lineno, node.col_offset),
            end_line,
            self._column(end_line, node.end_col_offset or 0),
        )

    def span_of_name(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Span:
        """Where the name in `def name` or `class name` stands, as it is written by everybody."""
        keyword = {ast.FunctionDef: 4, ast.AsyncFunctionDef: 10, ast.ClassDef: 6}[type(node)]
        start = self._column(node.lineno, node.col_offset) + keyword
        return node.lineno, start, node.lineno, start + len(node.name)

    def _column(self, line: int, offset: int) -> int:
        if self._lines is None or line > len(self._lines):
            return offset + 1
        return len(self._lines[line - 1][:offset].decode("utf-8", "replace")) + 1

    def term(self, node: ast.expr, depth: int = 0) -> Term:
        """The term of an expression."""
        make = _MAKERS.get(type(node))
        if make is None or depth > _MAX_DEPTH:
            return OPAQUE
        return make(self, node, depth + 1)

    def _name(self, node: ast.Name, depth: int) -> Term:
        return Name(node.id, self.span(node))

    def _attribute(self, node: ast.Attribute, depth: int) -> Term:
        names = [node.attr]
        inner = node.value
        while isinstance(inner, ast.Attribute):
            names.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            return OPAQUE
        names.append(inner.id)
        return Name(".".join(reversed(names)), self.span(node))

    def _call(self, node: ast.Call, depth: int) -> Term:
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) == 2:
            owner, name = self.term(node.args[0], depth), self.term(node.args[1], depth)
            if isinstance(owner, Name) and isinstance(name, Value) and isinstance(name.value, str):
                return Name(f"{owner.dotted}.{name.value}", self.span(node))
        return Call(
            self.term(node.func, depth),
            tuple([self.term(arg, depth) for arg in node.args]),
            tuple([(word.arg or "", self.term(word.value, depth)) for word in node.keywords]),
            self.span(node),
        )

    def _constant(self, node: ast.Constant, depth: int) -> Term:
        value = node.value
        if value is None or isinstance(value, (bool, int, float)):
            return Value(value)
        return Value(value) if isinstance(value, str) and len(value) <= _MAX_TEXT else PLAIN

    def _items(self, node: ast.List | ast.Tuple | ast.Set, depth: int) -> Term:
        if len(node.elts) > _MAX_ITEMS:  # a table of data: its numbers and texts are of no interest
            elements = [element for element in node.elts if type(element) is not ast.Constant]
        else:
            elements = node.elts
        items = [self.term(element, depth) for element in elements]
        if not all(type(item) is Value for item in items):
            return Items(tuple(items))
        values = tuple([item.value for item in items if isinstance(item, Value)])
        return PLAIN if len(node.elts) > _MAX_ITEMS or UNREAD in values else Value(values)

    def _starred(self, node: ast.Starred, depth: int) -> Term:
        return Starred(self.term(node.value, depth))

    def _binary(self, node: ast.BinOp, depth: int) -> Term:
        left, right = self.term(node.left, depth), self.term(node.right, depth)
        if isinstance(left, Value) and isinstance(right, Value):
            return Value(_computed(node.op, left.value, right.value))
        if isinstance(node.op, ast.Add):
            return Joined((left, right))
        if isinstance(node.op, ast.Mult):  # `[case] * 3` holds what `[case]` holds
            return right if isinstance(left, Value) else left
        return OPAQUE

    def _unary(self, node: ast.UnaryOp, depth: int) -> Term:
        operand = self.term(node.operand, depth)
        if isinstance(node.op, ast.Not):
            return PLAIN
        if isinstance(node.op, ast.USub) and isinstance(operand, Value):
            value = operand.value
            return Value(-value) if isinstance(value, (int, float)) else PLAIN
        return PLAIN if isinstance(operand, Value) else OPAQUE

    def _choice(self, node: ast.IfExp, depth: int) -> Term:
        options = self.term(node.body, depth), self.term(node.orelse, depth)
        return PLAIN if all(isinstance(option, Value) for option in options) else Choice(options)

    def _either(self, node: ast.BoolOp, depth: int) -> Term:
        options = tuple([self.term(value, depth) for value in node.values])
        return PLAIN if all(isinstance(option, Value) for option in options) else Choice(options)

    def _repeated(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, depth: int) -> Term:
        element = self.term(node.elt, depth)
        if isinstance(element, Value):
            return PLAIN
        if isinstance(element, Name) and len(node.generators) == 1:
            # `[x for x in cases if ...]` holds what `cases` holds.
            loop = node.generators[0]
            if isinstance(loop.target, ast.Name) and loop.target.id == element.dotted:
                of_all = self.term(loop.iter, depth)
                return Choice((of_all, Items(()))) if loop.ifs else of_all
        return Repeated(element)

    def _dict(self, node: ast.Dict, depth: int) -> Term:
        values = [self.term(value, depth) for value in node.values]
        return PLAIN if all(isinstance(value, Value) for value in values) else OPAQUE

    def _plain(self, node: ast.expr, depth: int) -> Term:
        return PLAIN

    def _subscript(self, node: ast.Subscript, depth: int) -> Term:
        # Generic[T] is Generic wherever it matters: as a base class.
        inner = self.term(node.value, depth)
        return inner if isinstance(inner, Name) and _is_type_like(inner.dotted) else OPAQUE


def _is_type_like(dotted: str) -> bool:
    return dotted.rpartition(".")[2][:1].isupper() and not dotted.rpartition(".")[2].isupper()


def _computed(operator: ast.operator, left: object, right: object) -> object:
    """The result where both sides are small numbers or texts, else UNREAD."""
    compute = _ARITHMETIC.get(type(operator))
    if compute is None or UNREAD in (left, right):
        return UNREAD
    is_text = isinstance(left, str) and isinstance(right, str) and isinstance(operator, ast.Add)
    if not is_text and not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
        return UNREAD
    try:
        result = compute(left, right)
    except (ArithmeticError, ValueError):
        return UNREAD
    return result if len(str(result)) <= _MAX_TEXT else UNREAD


def replaced(term: Meaning, values: Mapping[str, Meaning]) -> Meaning:
    """The term with names replaced by what they stand for."""
    if isinstance(term, Name):
        root, dot, _ = term.dotted.partition(".")
        return term if root not in values else OPAQUE if dot else values[root]
    if isinstance(term, Call):
        return Call(
            replaced(term.function, values),
            tuple([replaced(arg, values) for arg in term.args]),
            tuple([(name, replaced(value, values)) for name, value in term.kwargs]),
            term.at,
        )
    if isinstance(term, Items):
        return Items(tuple([replaced(item, values) for item in term.items]))
    if isinstance(term, Joined):
        return Joined(tuple([replaced(part, values) for part in term.parts]))
    if isinstance(term, Choice):
        return Choice(tuple([replaced(option, values) for option in term.options]))
    if isinstance(term, (Starred, Repeated)):
        return type(term)(replaced(term.term, values))
    return term


_MAKERS: dict[type[ast.expr], Callable[[Terms, Any, int], Term]] = {
    ast.Name: Terms._name,
    ast.Attribute: Terms._attribute,
    ast.Call: Terms._call,
    ast.Constant: Terms._constant,
    ast.List: Terms._items,
    ast.Tuple: Terms._items,
    ast.Set: Terms._items,
    ast.Starred: Terms._starred,
    ast.BinOp: Terms._binary,
    ast.UnaryOp: Terms._unary,
    ast.IfExp: Terms._choice,
    ast.BoolOp: Terms._either,
    ast.ListComp: Terms._repeated,
    ast.SetComp: Terms._repeated,
    ast.GeneratorExp: Terms._repeated,
    ast.Dict: Terms._dict,
    ast.DictComp: Terms._plain,
    ast.JoinedStr: Terms._plain,
    ast.Compare: Terms._plain,
    ast.Lambda: Terms._plain,
    ast.Subscript: Terms._subscript,
}
