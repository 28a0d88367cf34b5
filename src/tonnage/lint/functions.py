"""From a function's syntax tree to its outline."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from tonnage.lint.outline import (
    Function,
    Meaning,
    Term,
)
from tonnage.lint.terms import OPAQUE, PLAIN, Terms, replaced

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def function_of(node: FunctionNode, lines: Sequence[bytes], terms: Terms) -> Function:
    """The outline of one function; `lines` are those of its file, the first at index 0."""
    first, last = node.body[0].lineno, node.end_lineno or node.lineno
    text = b"\n".join(lines[first - 1 : last])
    speaks = b"mark" in text or b"param(" in text
    return Function(
        node.name,
        terms.span_of_name(node),
        tuple([terms.term(decorator) for decorator in node.decorator_list]),
        tuple(_required(node.args)),
        tuple(_returns(node.body, terms)) if speaks else (),
        b"yield" in text and any(map(_is_yield, _own_nodes(node.body))),
        speaks,
    )


def _required(arguments: ast.arguments) -> list[str]:
    """The parameters without a default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    required += [
        name
        for name, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    return [argument.arg for argument in required]


def _returns(body: Iterable[ast.stmt], terms: Terms) -> Iterator[Meaning]:
    """What is returned, with the names of local variables replaced by their values."""
    nodes = list(_own_nodes(body))
    values: dict[str, Term] = {}
    for node in nodes:
        for name, value in _stored(node):
            is_first = name not in values and value is not None
            values[name] = terms.term(value) if value and is_first else OPAQUE
    for node in nodes:
        if not isinstance(node, ast.Return):
            continue
        if isinstance(node.value, ast.Lambda):
            yield OPAQUE  # a decorator that may do anything
        else:
            yield PLAIN if node.value is None else replaced(terms.term(node.value), values)


def _own_nodes(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes of a function's body but those of functions and classes inside it."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))


def _stored(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """The local names that a node binds or fills, each with its value where that is plain."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id, node.value
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, None
    elif isinstance(node, ast.Attribute) and node.attr in _FILLS:
        if isinstance(node.value, ast.Name):
            yield node.value.id, None
    elif isinstance(node, (ast.For, ast.comprehension, ast.AugAssign)):
        for inner in ast.walk(node.target):
            if isinstance(inner, ast.Name):
                yield inner.id, None


_FILLS = frozenset({"append", "extend", "insert"})


def _is_yield(node: ast.AST) -> bool:
    return isinstance(node, (ast.Yield, ast.YieldFrom))
