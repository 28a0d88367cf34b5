"""How one file spells marks: what it calls pytest, and the names it gives to marks."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from tonnage.lint.edit_rows import RowMark

_MARK = "pytest.mark"


@dataclass(frozen=True, slots=True)
class Spelling:
    """What the file writes for `pytest` and `pytest.mark`, empty where it imports neither.

    `aliases` are names such as `gpu = pytest.mark.gpu_1`.
    """

    pytest: str
    mark: str
    aliases: Mapping[str, RowMark]

    def read(self, code: str) -> RowMark | None:
        """The mark that an expression of this file is, None when it is none."""
        try:
            node = ast.parse(code.strip(), mode="eval").body
        except SyntaxError:
            return None
        return self._read(node)

    def _read(self, node: ast.expr) -> RowMark | None:
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id)
        function = node.func if isinstance(node, ast.Call) else node
        if not (isinstance(function, ast.Attribute) and self._is_mark(ast.unparse(function.value))):
            return None
        has_arguments = isinstance(node, ast.Call) and (node.args or node.keywords)
        meaning = function.attr
        if has_arguments:
            meaning += ast.unparse(node).removeprefix(ast.unparse(function))
        return RowMark(function.attr, meaning)

    def _is_mark(self, dotted: str) -> bool:
        return bool(self.pytest and dotted == f"{self.pytest}.mark") or dotted == self.mark

    def write(self, expression: str) -> str:
        """An expression that says `pytest.mark`, as this file says it."""
        if not expression.startswith(f"{_MARK}."):
            return expression
        return (self.mark or _MARK) + expression.removeprefix(_MARK)


PLAIN = Spelling("pytest", _MARK, {})
"""Of a file that does `import pytest`."""


def meaning_of(expression: str) -> str:
    """An expression written with `pytest.mark`, in the one form that RowMark has."""
    mark = PLAIN.read(expression)
    return mark.meaning if mark else expression


def spelling_of(module: cst.Module) -> Spelling:
    """How this module spells marks; imports and names count wherever they stand at its level."""
    pytest = mark = ""
    for statement in module_statements(module):
        for module_name, name, local in imported(statement):
            if (module_name, name) == ("pytest", ""):
                pytest = local
            elif (module_name, name) == ("pytest", "mark"):
                mark = local
    aliases: dict[str, RowMark] = {}
    spelling = Spelling(pytest, mark or (f"{pytest}.mark" if pytest else ""), aliases)
    for statement in module_statements(module):
        if not isinstance(statement, cst.Assign) or len(statement.targets) != 1:
            continue
        target = statement.targets[0].target
        if isinstance(target, cst.Name):
            aliases.pop(target.value, None)
            if (found := spelling.read(code_of(statement.value))) is not None:
                aliases[target.value] = found
    return spelling


def imported(statement: cst.BaseSmallStatement) -> Iterator[tuple[str, str, str]]:
    """What a statement imports: module, name in it (empty: itself), name in this file."""
    if isinstance(statement, cst.Import):
        for alias in statement.names:
            yield code_of(alias.name), "", _as_name(alias) or code_of(alias.name)
    elif isinstance(statement, cst.ImportFrom) and statement.module is not None:
        if isinstance(statement.names, cst.ImportStar) or statement.relative:
            return
        for alias in statement.names:
            name = code_of(alias.name)
            yield code_of(statement.module), name, _as_name(alias) or name


def module_statements(module: cst.Module) -> Iterator[cst.BaseSmallStatement]:
    """Every simple statement at the module's level, also under `if`, `try` and `with`."""
    return _small(module.body)


def _small(
    body: Sequence[cst.BaseStatement] | Sequence[cst.BaseSmallStatement],
) -> Iterator[cst.BaseSmallStatement]:
    for statement in body:
        if isinstance(statement, cst.BaseSmallStatement):
            yield statement
        elif isinstance(statement, cst.SimpleStatementLine):
            yield from statement.body
        else:
            for block in inner_blocks(statement):
                yield from _small(block.body)


def inner_blocks(statement: cst.CSTNode) -> Iterator[cst.BaseSuite]:
    """The bodies of an `if`, `try` or `with`; none of a function, class or loop."""
    if isinstance(statement, cst.If):
        yield statement.body
        if isinstance(statement.orelse, cst.If):
            yield from inner_blocks(statement.orelse)
        elif statement.orelse is not None:
            yield statement.orelse.body
    elif isinstance(statement, (cst.Try, cst.TryStar)):
        yield statement.body
        for handler in statement.handlers:
            yield handler.body
        for part in (statement.orelse, statement.finalbody):
            if part is not None:
                yield part.body
    elif isinstance(statement, cst.With):
        yield statement.body


def _as_name(alias: cst.ImportAlias) -> str:
    return code_of(alias.asname.name) if alias.asname is not None else ""


def code_of(node: cst.CSTNode) -> str:
    """The source of a node, as it is written."""
    return cst.Module([]).code_for_node(node)
