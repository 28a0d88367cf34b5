"""Marks that the hooks of a conftest or plugin give to tests, where a simple pattern shows them.

    for item in items:
        item.add_marker(pytest.mark.slow)          to every test
        if "gpu" in item.nodeid:                   to those with "gpu" in their node id
            item.add_marker("gpu_1")

Anything else that adds a mark may add it to any test: it is kept with its doubt.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tonnage.lint.outline import HookMark, Name, Term, Value
from tonnage.lint.terms import Terms

_HOOKS = frozenset({"pytest_collection_modifyitems", "pytest_itemcollected"})
_LEAVES = (ast.Continue, ast.Break, ast.Return)


def hook_marks(module: ast.Module, terms: Terms) -> Iterator[HookMark]:
    """The marks that the hooks of this module add."""
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in _HOOKS:
            is_left_early = any(isinstance(inner, _LEAVES) for inner in ast.walk(node))
            doubt = f"{node.name} on line {node.lineno} adds it to some tests"
            for mark in _Hook(terms, doubt).marks(node.body, HookMark(Name("", (0, 0, 0, 0)))):
                yield replace(mark, doubt=doubt) if is_left_early else mark


class _Hook:
    """One hook. A condition that is not understood puts what it guards in doubt."""

    def __init__(self, terms: Terms, doubt: str) -> None:
        self._terms = terms
        self._doubt = doubt
        self._locals: dict[str, Term] = {}

    def marks(self, body: Iterable[ast.stmt], under: HookMark) -> Iterator[HookMark]:
        """The marks added in these statements; `under` carries the conditions around them."""
        for node in body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._locals[node.targets[0].id] = self._terms.term(node.value)
            elif isinstance(node, ast.For):
                yield from self.marks(node.body, self._each(node, under))
            elif isinstance(node, ast.If):
                yield from self.marks(node.body, self._where(node.test, under))
                yield from self.marks(node.orelse, replace(under, doubt=self._doubt))
            elif isinstance(node, ast.With):
                yield from self.marks(node.body, under)
            elif isinstance(node, ast.Expr):
                yield from self._added(node.value, under)
            else:
                inner = [child for child in ast.walk(node) if isinstance(child, ast.Expr)]
                yield from self.marks(inner, replace(under, doubt=self._doubt))

    def _each(self, node: ast.For, under: HookMark) -> HookMark:
        is_plain = isinstance(node.iter, (ast.Name, ast.Attribute))
        return under if is_plain else replace(under, doubt=self._doubt)

    def _where(self, test: ast.expr, under: HookMark) -> HookMark:
        """The condition `"text" in item.nodeid`, or a doubt."""
        if (
            isinstance(test, ast.Compare)
            and isinstance(test.ops[0], ast.In)
            and isinstance(test.left, ast.Constant)
            and isinstance(test.left.value, str)
            and isinstance(test.comparators[0], ast.Attribute)
            and test.comparators[0].attr == "nodeid"
        ):
            return replace(under, parts=(*under.parts, test.left.value))
        return replace(under, doubt=self._doubt)

    def _added(self, call: ast.expr, under: HookMark) -> Iterator[HookMark]:
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            return
        if call.func.attr == "add_marker" and call.args:
            yield replace(under, mark=self._mark(self._terms.term(call.args[0])))
        elif call.func.attr in {"append", "extend", "insert"} and call.args:
            owner = call.func.value
            if isinstance(owner, ast.Attribute) and owner.attr == "own_markers":
                yield replace(under, mark=self._terms.term(call.args[-1]), doubt=self._doubt)

    def _mark(self, term: Term) -> Term:
        if isinstance(term, Value) and isinstance(term.value, str):
            return Name(f"pytest.mark.{term.value}", (0, 0, 0, 0))
        return self._locals.get(term.dotted, term) if isinstance(term, Name) else term
