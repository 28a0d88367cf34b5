"""From the statements of a module or class to the names they bind, in order."""

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tonnage.lint.conditions import known_condition
from tonnage.lint.functions import FunctionNode, function_of
from tonnage.lint.outline import (
    IN_HANDLER,
    Bind,
    Class,
    Dynamic,
    Extend,
    Function,
    Import,
    ImportAll,
    Items,
    Statement,
    Stop,
    Unbind,
)
from tonnage.lint.terms import OPAQUE, Terms

_TRY = (ast.Try, getattr(ast, "TryStar", ast.Try))  # `except*` is new in Python 3.11

# Calls after which the names of the namespace are no longer those that are written down.
_REWRITES_NAMESPACE = frozenset({"exec", "setattr", "delattr", "globals", "locals", "vars"})
_SKIPS_MODULE = frozenset({"importorskip", "skip", "xfail", "exit", "fail"})


class Statements:
    """Reads the bodies of one file. `lines` are its lines as bytes, the first at index 0."""

    def __init__(self, lines: Sequence[bytes], terms: Terms) -> None:
        self._lines = lines
        self._terms = terms

    def read(self, body: Iterable[ast.stmt], when: str = "") -> Iterator[Statement]:
        """What these statements bind, with what is inside their blocks."""
        for node in body:
            reader = _READERS.get(type(node))
            if reader is not None:
                yield from reader(self, node, when)

    def _function(self, node: FunctionNode, when: str) -> Iterator[Statement]:
        yield Bind(node.name, function_of(node, self._lines, self._terms), when)

    def _class(self, node: ast.ClassDef, when: str) -> Iterator[Statement]:
        meaning = Class(
            node.name,
            self._terms.span_of_name(node),
            tuple([self._terms.term(base) for base in node.bases]),
            tuple([(word.arg or "", self._terms.term(word.value)) for word in node.keywords]),
            tuple([self._terms.term(decorator) for decorator in node.decorator_list]),
            tuple(self.read(node.body)),
        )
        yield Bind(node.name, meaning, when)

    def _import(self, node: ast.Import, when: str) -> Iterator[Statement]:
        for alias in node.names:
            if alias.asname:
                yield Bind(alias.asname, Import(alias.name), when)
            else:
                root = alias.name.partition(".")[0]
                yield Bind(root, Import(root), when)

    def _import_from(self, node: ast.ImportFrom, when: str) -> Iterator[Statement]:
        module = node.module or ""
        for alias in node.names:
            if alias.name == "*":
                yield ImportAll(module, node.level, when)
            else:
                yield Bind(alias.asname or alias.name, Import(module, alias.name, node.level), when)

    def _assign(self, node: ast.Assign, when: str) -> Iterator[Statement]:
        for target in node.targets:
            yield from self._bind(target, node.value, when)
        if isinstance(node.value, ast.Call) and _called(node.value) == "importorskip":
            yield Stop(f"pytest.importorskip on line {node.lineno}")

    def _annotated(self, node: ast.AnnAssign, when: str) -> Iterator[Statement]:
        if node.value is not None:
            yield from self._bind(node.target, node.value, when)

    def _bind(self, target: ast.expr, value: ast.expr | None, when: str) -> Iterator[Statement]:
        if isinstance(target, ast.Name):
            if isinstance(value, ast.Lambda):
                yield Bind(target.id, Function(target.id, self._terms.span(target)), when)
            else:
                yield Bind(target.id, self._terms.term(value) if value else OPAQUE, when)
        elif isinstance(target, (ast.Tuple, ast.List)):
            values: Sequence[ast.expr | None] = [None] * len(target.elts)
            if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
                values = value.elts
            for inner, inner_value in zip(target.elts, values, strict=True):
                yield from self._bind(inner, inner_value, when)
        elif isinstance(target, ast.Starred):
            yield from self._bind(target.value, None, when)
        else:
            yield from self._changed(target, value, when)

    def _changed(self, target: ast.expr, value: ast.expr | None, when: str) -> Iterator[Statement]:
        """An assignment to an attribute or item: of interest where it is a class or namespace."""
        inner = target.value if isinstance(target, (ast.Attribute, ast.Subscript)) else None
        if isinstance(inner, ast.Call) and _called(inner) in _REWRITES_NAMESPACE:
            yield Dynamic(f"line {target.lineno} makes names with {_called(inner)}()")
        elif isinstance(target, ast.Attribute) and isinstance(inner, ast.Name):
            if target.attr == "__test__" and value is not None:
                yield Bind(f"{inner.id}.__test__", self._terms.term(value), when)
                return
            yield Dynamic(f"line {target.lineno} sets {inner.id}.{target.attr}", inner.id)

    def _augmented(self, node: ast.AugAssign, when: str) -> Iterator[Statement]:
        if isinstance(node.target, ast.Name):
            yield Extend(node.target.id, self._terms.term(node.value), when)

    def _delete(self, node: ast.Delete, when: str) -> Iterator[Statement]:
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield Unbind(target.id, when)

    def _expression(self, node: ast.Expr, when: str) -> Iterator[Statement]:
        if not isinstance(node.value, ast.Call):
            return
        call, called = node.value, _called(node.value)
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if called in {"setattr", "delattr"} and call.args:
            first = call.args[0]
            named = first.id if isinstance(first, ast.Name) else ""
            yield Dynamic(f"line {node.lineno} calls {called}()", named)
        elif called in _REWRITES_NAMESPACE and owner is None:
            yield Dynamic(f"line {node.lineno} calls {called}()")
        elif isinstance(owner, ast.Call) and _called(owner) in _REWRITES_NAMESPACE:
            yield Dynamic(f"line {node.lineno} makes names with {_called(owner)}()")
        elif called in _SKIPS_MODULE and isinstance(owner, ast.Name) and owner.id == "pytest":
            yield Stop(f"pytest.{called} on line {node.lineno}")
        elif called == "append" and isinstance(owner, ast.Name) and call.args:
            yield Extend(owner.id, Items((self._terms.term(call.args[0]),)), when)
        elif called == "extend" and isinstance(owner, ast.Name) and call.args:
            yield Extend(owner.id, self._terms.term(call.args[0]), when)

    def _raise(self, node: ast.Raise, when: str) -> Iterator[Statement]:
        yield Stop(f"`raise` on line {node.lineno}")

    def _if(self, node: ast.If, when: str) -> Iterator[Statement]:
        holds = known_condition(node.test)
        doubt = when or f"inside `if` on line {node.lineno}"
        if holds is not False:
            yield from self.read(node.body, when if holds else doubt)
        if holds is not True:
            yield from self.read(node.orelse, doubt if holds is None else when)

    def _try(self, node: ast.Try, when: str) -> Iterator[Statement]:
        doubt = when or f"inside `try` on line {node.lineno}"
        yield from self.read(node.body, doubt if node.handlers else when)
        for handler in node.handlers:
            yield from self.read(handler.body, when or f"{IN_HANDLER} on line {handler.lineno}")
        yield from self.read(node.orelse, doubt)
        yield from self.read(node.finalbody, when)

    def _with(self, node: ast.With, when: str) -> Iterator[Statement]:
        for item in node.items:
            if item.optional_vars is not None:
                yield from self._bind(item.optional_vars, None, when)
        yield from self.read(node.body, when)

    def _loop(self, node: ast.For | ast.While, when: str) -> Iterator[Statement]:
        doubt = when or f"inside a loop on line {node.lineno}"
        if isinstance(node, ast.For):
            yield from self._bind(node.target, None, doubt)
        yield from self.read([*node.body, *node.orelse], doubt)

    def _match(self, node: ast.Match, when: str) -> Iterator[Statement]:
        doubt = when or f"inside `match` on line {node.lineno}"
        for case in node.cases:
            yield from self.read(case.body, doubt)


_READERS: dict[type[ast.stmt], Callable[[Statements, Any, str], Iterator[Statement]]] = {
    ast.FunctionDef: Statements._function,
    ast.AsyncFunctionDef: Statements._function,
    ast.ClassDef: Statements._class,
    ast.Import: Statements._import,
    ast.ImportFrom: Statements._import_from,
    ast.Assign: Statements._assign,
    ast.AnnAssign: Statements._annotated,
    ast.AugAssign: Statements._augmented,
    ast.Delete: Statements._delete,
    ast.Expr: Statements._expression,
    ast.Raise: Statements._raise,
    ast.If: Statements._if,
    ast.With: Statements._with,
    ast.For: Statements._loop,
    ast.While: Statements._loop,
    ast.Match: Statements._match,
    **dict.fromkeys(_TRY, Statements._try),
}


def _called(call: ast.Call) -> str:
    """The last name of what is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
