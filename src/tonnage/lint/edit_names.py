"""How one file spells marks: what it calls pytest, and the names it gives to marks."""

from collections.abc import Iterator, Sequence

import libcst as cst

from tonnage.lint.edit_rows import RowMark
from tonnage.lint.edit_spelling import Spelling


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
    is_imported = bool(pytest or mark)
    if not is_imported:
        pytest = "pytest"  # perhaps from `import *`
    spelling = Spelling(pytest, mark or f"{pytest}.mark", aliases, is_imported)
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
