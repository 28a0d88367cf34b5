"""Carrying out changes of marks in the syntax tree of one file.

First each change is given the node whose row of marks it concerns; then one walk over the tree
changes these nodes, from the leaves up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from tonnage.lint.edit_decorators import with_decorators
from tonnage.lint.edit_insert import (
    imports_at_top,
    with_import,
    with_marks_argument,
    with_pytestmark,
)
from tonnage.lint.edit_lists import MarkList, list_of, with_entries
from tonnage.lint.edit_marks import EditResult, MarkChange, MarkText, Unplaced
from tonnage.lint.edit_names import (
    imported,
    spelling_of,
)
from tonnage.lint.edit_rows import Entry, Row, arranged, is_unchanged
from tonnage.lint.edit_sites import Definition, NoSite, Sites, line_of, row_of, values_of
from tonnage.lint.edit_spelling import Spelling, meaning_of

_IDLE = "the marks are there already, perhaps written in another way"
_NO_LIST = "its marks are not a written-out list"


def edited(source: str, wanted: Sequence[MarkChange], order: Sequence[str]) -> EditResult:
    """The source with these changes made, as far as they can be placed."""
    try:
        module = cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        reason = f"the file cannot be parsed: {error.message.splitlines()[0]}"
        return _none_placed(source, wanted, error.raw_line, reason)
    if module.code != source:
        return _none_placed(source, wanted, 1, "the file cannot be written back unchanged")
    # Nothing in a tree that was just parsed stands in it twice.
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    editor = _Editor(module, source, positions, order)
    for change in wanted:
        editor.place(change)
    text = editor.edited().code if editor.jobs else source
    return EditResult(text, tuple(editor.unplaced), tuple(editor.sites.notes), tuple(editor.idle))


def _none_placed(source: str, wanted: Sequence[MarkChange], line: int, reason: str) -> EditResult:
    return EditResult(
        source, tuple(Unplaced(change, line, reason, change.wanted) for change in wanted)
    )


class _IdleError(Exception):
    """A row of marks that is as wanted already."""


class _NotPlacedError(Exception):
    """A row of marks that cannot be changed safely, and why."""


class _Editor(cst.CSTTransformer):
    """Changes the rows of marks of the nodes in `jobs`."""

    def __init__(
        self,
        module: cst.Module,
        source: str,
        positions: Mapping[cst.CSTNode, CodeRange],
        order: Sequence[str],
    ) -> None:
        super().__init__()
        self.module = module
        self.positions = positions
        self.order = order
        self.spelling: Spelling = spelling_of(module)
        self.lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.sites = Sites(module, self.spelling, positions)
        self.jobs: dict[cst.CSTNode, list[MarkChange]] = {}
        self.unplaced: list[Unplaced] = []
        self.idle: list[Unplaced] = []
        self.lacks_import = False

    def place(self, change: MarkChange) -> None:
        """Give the change the node that it concerns, or say why there is none."""
        site = self.sites.of(change)
        if isinstance(site, NoSite):
            self._refuse(change, site.near, site.reason)
        elif change not in (job := self.jobs.setdefault(site, [])):
            job.append(change)

    def edited(self) -> cst.Module:
        """The module with all changes made."""
        self.jobs = {site: _without_smaller(job) for site, job in self.jobs.items()}
        module = self.module.visit(self)
        return with_import(module) if self.lacks_import else module

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        """Make the changes that concern this node."""
        node: cst.CSTNode = updated_node
        for change in self.jobs.get(original_node, ()):
            try:
                node = self._changed(original_node, node, change)
            except _NotPlacedError as error:
                self._refuse(change, original_node, str(error))
            except _IdleError:
                self.idle.append(self._unplaced(change, original_node, _IDLE))
        return cast("cst.CSTNodeT", node)

    def _changed(self, original: cst.CSTNode, node: cst.CSTNode, change: MarkChange) -> cst.CSTNode:
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            return self._with_decorators(node, change)
        if isinstance(node, (cst.Module, cst.Call, cst.Element)):
            return self._with_first_marks(original, node, change)
        value = getattr(node, "value", None)
        if value is None:
            raise _NotPlacedError(_NO_LIST)
        start = self.positions[getattr(original, "value")].start  # noqa: B009 - of several types
        line = self.lines[start.line - 1][: start.column]
        return node.with_changes(value=self._with_value(value, change, line))

    def _with_decorators(self, node: Definition, change: MarkChange) -> Definition:
        old = [each.decorator for each in node.decorators]
        row = row_of(self.spelling, old)
        entries = self._entries(row, change)
        return with_decorators(node, entries, self._expressions(entries, row, old))

    def _with_value(
        self, value: cst.BaseExpression, change: MarkChange, line: str
    ) -> cst.BaseExpression:
        """A list of marks, or a single mark, after the change."""
        is_list = isinstance(value, (cst.List, cst.Tuple))
        old = values_of(value)
        row = row_of(self.spelling, old)
        if not is_list and row[0] is None:
            raise _NotPlacedError(_NO_LIST)
        if isinstance(value, (cst.List, cst.Tuple)) and any(
            isinstance(element, cst.StarredElement) for element in value.elements
        ):
            raise _NotPlacedError("its marks unpack another list")
        entries = self._entries(row, change)
        expressions = self._expressions(entries, row, old)
        has_comment = any(entry.mark is not None and entry.mark.comment for entry in entries)
        if not is_list and len(entries) == 1 and not has_comment:
            return expressions[0]
        marks: MarkList = value if isinstance(value, (cst.List, cst.Tuple)) else list_of(old)
        return with_entries(marks, entries, expressions, line)

    def _with_first_marks(
        self, original: cst.CSTNode, node: cst.Module | cst.Call | cst.Element, change: MarkChange
    ) -> cst.CSTNode:
        """Marks where none stand yet: of the module, or of a case."""
        job = self.jobs[original]
        if change is not job[-1]:
            return node  # all are made together
        marks: cst.BaseExpression = list_of([])
        line = self._line_of_new(original)
        for each in job:
            try:
                marks = self._with_value(marks, each, line)
            except _IdleError:
                self.idle.append(self._unplaced(each, original, _IDLE))
        if not isinstance(marks, cst.List) or not marks.elements:
            return node
        if isinstance(node, cst.Module):
            if not (self.lacks_import or self._imports_pytest_at_top()):
                raise _NotPlacedError("pytest is not imported at the top of the file")
            return with_pytestmark(node, marks)
        is_plain = len(marks.elements) == 1 and not any(mark.comment for mark in _added(job))
        value = marks.elements[0].value if is_plain else marks
        if isinstance(node, cst.Call):
            return with_marks_argument(node, value)
        if not (self.spelling.is_imported and self.spelling.pytest):
            self.lacks_import = True
        function = cst.parse_expression(f"{self.spelling.pytest or 'pytest'}.param")
        return node.with_changes(
            value=with_marks_argument(_call(function, self.sites.parts[original]), value)
        )

    def _entries(self, row: Row, change: MarkChange) -> list[Entry]:
        """The row to be. Raises _IdleError where it is so already."""
        there = [mark.meaning for mark in row if mark is not None]
        gone = [meaning_of(text) for text in change.remove if not text.isidentifier()]
        absent = [text for text in gone if gone.count(text) > there.count(text)]
        if absent:
            if not change.set and all(meaning_of(mark.expression) in there for mark in change.add):
                raise _IdleError
            often = f" {gone.count(absent[0])} times" if absent[0] in there else ""
            raise _NotPlacedError(f"{absent[0]} is not written there{often}")
        if change.in_place:
            names = {mark.name for mark in row if mark is not None}
            if missing := [mark.name for mark in change.set if mark.name not in names]:
                raise _NotPlacedError(f"{missing[0]} is not written there")
        entries = arranged(row, change, meaning_of, self.order)
        if is_unchanged(entries, row, meaning_of):
            raise _IdleError
        return entries

    def _expressions(
        self, entries: Sequence[Entry], row: Row, old: Sequence[cst.BaseExpression]
    ) -> list[cst.BaseExpression]:
        """What stands at each entry: as it was written where it means the same."""
        found = []
        for entry in entries:
            before = row[entry.origin] if entry.origin is not None else None
            if entry.origin is not None and (
                entry.mark is None
                or (before is not None and before.meaning == meaning_of(entry.mark.expression))
            ):
                found.append(old[entry.origin])
            elif entry.mark is not None:
                found.append(self._written(entry.mark.expression))
        return found

    def _written(self, expression: str) -> cst.BaseExpression:
        if expression.startswith("pytest.") and not self.spelling.is_imported:
            self.lacks_import = True
        try:
            return cst.parse_expression(self.spelling.write(expression))
        except cst.ParserSyntaxError as error:
            raise _NotPlacedError(f"{expression} is no expression") from error

    def _imports_pytest_at_top(self) -> bool:
        return any(
            name == "pytest"
            for statement in imports_at_top(self.module)
            for name, _, _ in imported(statement)
        )

    def _line_of_new(self, node: cst.CSTNode) -> str:
        """The start of the line on which the marks of a node will stand."""
        if isinstance(node, cst.Module):
            return "pytestmark = "
        place = self.positions[node]
        if isinstance(node, cst.Call):
            if place.start.line < place.end.line and node.args:
                start = self.positions[node.args[-1]].start
                return self.lines[start.line - 1][: start.column] + "marks="
            return self.lines[place.end.line - 1][: place.end.column - 1] + ", marks="
        return self.lines[place.end.line - 1][: place.end.column] + "pytest.param(, marks="

    def _refuse(self, change: MarkChange, node: cst.CSTNode | None, reason: str) -> None:
        self.unplaced.append(self._unplaced(change, node, reason))

    def _unplaced(self, change: MarkChange, node: cst.CSTNode | None, reason: str) -> Unplaced:
        line = 1 if node is None or isinstance(node, cst.Module) else line_of(node, self.positions)
        return Unplaced(change, line, reason, change.wanted)


def _without_smaller(job: Sequence[MarkChange]) -> list[MarkChange]:
    """The changes of one place without the marks that another sets to a larger number."""
    largest: dict[str, float] = {}
    for mark in _set(job):
        largest[mark.name] = max(mark.number or 0.0, largest.get(mark.name, 0.0))
    kept = [
        replace(
            change,
            set=tuple(m for m in change.set if m.number is None or m.number == largest[m.name]),
        )
        for change in job
    ]
    return [change for change in kept if change.set or change.add or change.remove]


def _set(changes: Sequence[MarkChange]) -> list[MarkText]:
    return [mark for change in changes for mark in change.set]


def _added(changes: Sequence[MarkChange]) -> list[MarkText]:
    return [mark for change in changes for mark in (*change.set, *change.add)]


def _call(function: cst.BaseExpression, values: Sequence[cst.BaseExpression]) -> cst.Call:
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    last = len(values) - 1
    return cst.Call(
        function,
        [cst.Arg(v, comma=comma) if i < last else cst.Arg(v) for i, v in enumerate(values)],
    )
