"""Changing the marks of tests in a source file: text in, text out, everything else untouched.

`plan_edits` says what could not be placed and why; `edit_sites` finds each test, class, module or
single case, `edit_rows` decides where in a row of marks a change goes, `edit_syntax` carries it out
in the syntax tree. Needs LibCST (the extra `edit`), imported only when something is to be edited.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tonnage.errors import TonnageError
from tonnage.markers.presets import PRESETS

BYTE_ORDER_MARK = "\ufeff"
TABLE_ORDER = PRESETS["serving"].known()
"""Marker names in the order in which tests usually carry them."""


@dataclass(frozen=True, slots=True)
class MarkText:
    """A mark as it is to stand in the source.

    `expression` is written for a file that does `import pytest`, such as
    `pytest.mark.max_vram_gib(21)`; the editor adapts it to the file's own imports. `comment`, if
    any, goes to the end of its line and replaces there one that begins with the same word. Of
    several changes that set one mark of one place, the one with the largest `number` stands.
    """

    name: str
    expression: str
    comment: str = ""
    number: float | None = None


@dataclass(frozen=True, slots=True)
class MarkChange:
    """What the marks of one test, class, module or case are to be.

    `target` is the path inside the file, such as ("TestX", "test_y"); empty: the module. `case` is
    the id of one parametrisation of that test. `remove` holds names of marks or whole expressions.
    `set` are marks that then stand there once, by name: updated in place or added, or with
    `in_place` only updated. `add` are marks that stand there beside others, also of the same name.
    """

    target: tuple[str, ...]
    set: tuple[MarkText, ...] = ()
    remove: tuple[str, ...] = ()
    add: tuple[MarkText, ...] = ()
    case: str | None = None
    in_place: bool = False

    @property
    def wanted(self) -> str:
        """The decorators to write by hand, one a line."""
        lines = []
        for mark in (*self.set, *self.add):
            comment = f"  # {mark.comment}" if mark.comment else ""
            lines.append(f"@{mark.expression}{comment}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A change, or a part of one, that cannot be made safely. `line` counts from 1.

    `text` is what to write by hand.
    """

    change: MarkChange
    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a change that was made and that its author should know."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class EditResult:
    """The new text of a file, what is missing from it, and what to know about it.

    `idle` are changes that had nothing to do: the marks are there already.
    """

    source: str
    unplaced: tuple[Unplaced, ...] = ()
    notes: tuple[Note, ...] = ()
    idle: tuple[Unplaced, ...] = ()


class EditorMissingError(TonnageError):
    """LibCST is not installed."""


def require_editor() -> None:
    """Raise EditorMissingError, which names the extra, when LibCST cannot be imported."""
    try:
        import libcst  # noqa: F401
    except ImportError as error:
        raise EditorMissingError(
            f"changing test files needs LibCST, which cannot be imported: {error}",
            remedy='Install it with: pip install "tonnage[edit]"',
        ) from error


def plan_edits(
    source: str, wanted: Sequence[MarkChange], order: Sequence[str] = TABLE_ORDER
) -> EditResult:
    """The source with these changes made, as far as they can be placed.

    `order` holds the names of markers in the order a new one is sorted in, where the marks beside
    it are sorted so. Making the same changes twice changes nothing. Raises EditorMissingError.
    """
    require_editor()
    from tonnage.lint.edit_syntax import edited

    mark = BYTE_ORDER_MARK if source.startswith(BYTE_ORDER_MARK) else ""
    result = edited(source[len(mark) :], wanted, tuple(order))
    return replace(result, source=mark + result.source)
