"""Where a change of marks belongs: the node whose row of marks it concerns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import CodeRange

from tonnage.lint.edit_cases import CaseSite, find_case
from tonnage.lint.edit_marks import MarkChange, Note
from tonnage.lint.edit_names import (
    code_of,
    inner_blocks,
)
from tonnage.lint.edit_rows import Row, RowMark
from tonnage.lint.edit_spelling import Spelling, meaning_of

Definition = cst.FunctionDef | cst.ClassDef


@dataclass(frozen=True, slots=True)
class NoSite:
    """Why a change has no place; `near`: the node that says so, if any."""

    reason: str
    near: cst.CSTNode | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """A definition and what it is in, the innermost last."""

    path: tuple[Definition, ...]

    @property
    def node(self) -> Definition:
        return self.path[-1]


class Sites:
    """Finds the sites in one module.

    `parts` are the values of each case that is not a `pytest.param` yet, `notes` what to know about
    the sites that were found.
    """

    def __init__(
        self, module: cst.Module, spelling: Spelling, positions: Mapping[cst.CSTNode, CodeRange]
    ) -> None:
        self.parts: dict[cst.CSTNode, tuple[cst.BaseExpression, ...]] = {}
        self.notes: list[Note] = []
        self._module = module
        self._spelling = spelling
        self._positions = positions
        self._definitions: dict[tuple[str, ...], list[_Found]] = {}
        for path, found in _definitions(module):
            self._definitions.setdefault(path, []).append(found)

    def of(self, change: MarkChange) -> cst.CSTNode | NoSite:
        """The node whose row of marks the change concerns."""
        if not change.target:
            return self._in_block(self._module, self._module, change)
        found = self._definitions.get(change.target, [])
        if len(found) != 1:
            name = "::".join(change.target)
            often = f"is defined {len(found)} times" if found else "is not defined"
            return NoSite(f"{name} {often} in this file", found[-1].node if found else None)
        if change.case is not None:
            return self._at_case(found[0], change, change.case)
        node = found[0].node
        if isinstance(node, cst.ClassDef):
            return self._in_block(node, node.body, change)
        return node

    def _at_case(self, found: _Found, change: MarkChange, case: str) -> cst.CSTNode | NoSite:
        # pytest takes the mark of a function before that of its case.
        for mark in row_of(self._spelling, [each.decorator for each in found.node.decorators]):
            for text in change.set:
                if mark and mark.name == text.name and mark.meaning != meaning_of(text.expression):
                    reason = f"{mark.name} on the function outweighs that of a case"
                    return NoSite(reason, found.node)
        site = find_case(self._module, found.path, case, self._spelling)
        if not isinstance(site, CaseSite):
            return NoSite(site, found.node)
        if site.shared:
            message = f"the cases in {site.shared} may serve other tests too"
            note = Note(line_of(site.node, self._positions), message)
            self.notes += [] if note in self.notes else [note]
        if isinstance(site.node, cst.Element):
            self.parts[site.node] = site.values
        return site.node

    def _in_block(
        self, node: cst.Module | cst.ClassDef, body: cst.CSTNode, change: MarkChange
    ) -> cst.CSTNode | NoSite:
        """Where the marks of a class or module stand: in its `pytestmark`, or on the class."""
        near = node if isinstance(node, cst.ClassDef) else None
        assignments = _assignments(body)
        if len(assignments) > 1:
            return NoSite(f"pytestmark is bound {len(assignments)} times", near)
        if not assignments:
            return node
        assignment = assignments[0]
        if isinstance(node, cst.Module):
            return assignment
        decorators = [each.decorator for each in node.decorators]
        on_class = _concerned(row_of(self._spelling, decorators), change)
        value = getattr(assignment, "value", None)
        in_list = value is not None and _concerned(row_of(self._spelling, values_of(value)), change)
        if on_class and in_list:
            return NoSite("its marks stand both in decorators and in pytestmark", near)
        return node if on_class else assignment


def row_of(spelling: Spelling, expressions: Sequence[cst.BaseExpression]) -> list[RowMark | None]:
    """What is known of each expression in a row of marks; None of what is none."""
    return [spelling.read(code_of(each)) for each in expressions]


def line_of(node: cst.CSTNode, positions: Mapping[cst.CSTNode, CodeRange]) -> int:
    """The line, from 1, on which a node or the name of a definition stands."""
    if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
        node = node.name
    return positions[node].start.line


def values_of(value: cst.BaseExpression) -> list[cst.BaseExpression]:
    """The marks that a value holds: those of a list, or itself."""
    if isinstance(value, (cst.List, cst.Tuple)):
        return [element.value for element in value.elements]
    return [value]


def _definitions(
    body: cst.CSTNode, around: tuple[Definition, ...] = ()
) -> Iterator[tuple[tuple[str, ...], _Found]]:
    """Every class, its methods, and every function of a module, with the path of names to it."""
    for node in _defined(body):
        found = _Found((*around, node))
        yield tuple(each.name.value for each in found.path), found
        if isinstance(node, cst.ClassDef):
            yield from _definitions(node.body, found.path)


def _defined(body: cst.CSTNode) -> Iterator[Definition]:
    for statement in getattr(body, "body", ()):
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            yield statement
        else:
            for block in inner_blocks(statement):
                yield from _defined(block)


def _assignments(body: cst.CSTNode) -> list[cst.CSTNode]:
    """The statements that bind `pytestmark` in a module or class, not further inside."""
    found: list[cst.CSTNode] = []
    for statement in getattr(body, "body", ()):
        if isinstance(statement, cst.SimpleStatementLine):
            found += [small for small in statement.body if "pytestmark" in _targets(small)]
        else:
            for block in inner_blocks(statement):
                found += _assignments(block)
    return found


def _targets(statement: cst.BaseSmallStatement) -> list[str]:
    if isinstance(statement, cst.Assign):
        return [code_of(each.target) for each in statement.targets]
    if isinstance(statement, (cst.AnnAssign, cst.AugAssign)):
        return [code_of(statement.target)]
    return []


def _concerned(row: Row, change: MarkChange) -> bool:
    """Whether the change updates or removes a mark of this row."""
    words = {mark.name for mark in change.set} | {meaning_of(text) for text in change.remove}
    return any(mark is not None and words & {mark.name, mark.meaning} for mark in row)
