"""Where the marks of a test stand in its file. Pure, and only used to word an error."""

import ast
from collections.abc import Iterable, Iterator, Sequence

_Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def locate_marks(source: str, path_parts: Sequence[str]) -> dict[str, list[int]]:
    """The lines of each mark, by name, closest to the test first.

    `path_parts`: the test inside its file, such as ("TestX", "test_y"). Seen are decorators of
    the test and its classes, `pytestmark`, and names that the module gives to a mark. What
    cannot be parsed or found has no lines.
    """
    try:
        return _lines(ast.parse(source), path_parts)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}


def _lines(module: ast.Module, path_parts: Sequence[str]) -> dict[str, list[int]]:
    aliases = _aliases(module)
    lines: dict[str, list[int]] = {}
    for scope in reversed(_scopes(module, path_parts)):
        for expression in _marking(scope):
            for name, line in _marks_in(expression, aliases):
                known = lines.setdefault(name, [])
                if line not in known:
                    known.append(line)
    return lines


def _scopes(module: ast.Module, path_parts: Sequence[str]) -> list[_Scope]:
    """The module, its classes down to the test, and the test, as far as they are found."""
    scopes: list[_Scope] = [module]
    for part in path_parts:
        name = part.split("[", 1)[0]
        named = [
            child
            for child in _statements(scopes[-1].body)
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and child.name == name
        ]
        if not named:
            break
        scopes.append(named[-1])
    return scopes


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body and of the `if`, `try` and `with` blocks in it, in order."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.If, ast.Try, ast.With)):
            for _, value in ast.iter_fields(statement):
                if isinstance(value, list):
                    yield from _statements(_flat(value))


def _flat(nodes: Iterable[object]) -> Iterator[ast.stmt]:
    for node in nodes:
        if isinstance(node, ast.stmt):
            yield node
        elif isinstance(node, ast.ExceptHandler):
            yield from node.body


def _marking(scope: _Scope) -> Iterator[ast.expr]:
    """The expressions that put marks on a scope."""
    if not isinstance(scope, ast.Module):
        yield from scope.decorator_list
    if isinstance(scope, (ast.Module, ast.ClassDef)):
        for name, value in _assignments(scope.body):
            if name == "pytestmark":
                yield value


def _assignments(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for statement in _statements(body):
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
            targets = [statement.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and statement.value is not None:
                yield target.id, statement.value


def _aliases(module: ast.Module) -> dict[str, list[str]]:
    """The marks behind each name of the module, as in `big = pytest.mark.gpu_8`."""
    aliases: dict[str, list[str]] = {}
    for name, value in _assignments(module.body):
        aliases[name] = list(dict.fromkeys(mark for mark, _ in _marks_in(value, aliases)))
    return aliases


def _marks_in(expression: ast.expr, aliases: dict[str, list[str]]) -> Iterator[tuple[str, int]]:
    """The marks named in an expression: `pytest.mark.X` or `mark.X` anywhere in it, or an alias."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Attribute) and _is_mark(node.value):
            yield node.attr, node.end_lineno or node.lineno
        elif isinstance(node, ast.Name):
            for name in aliases.get(node.id, ()):
                yield name, node.lineno


def _is_mark(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "mark") or (
        isinstance(node, ast.Name) and node.id == "mark"
    )
