"""What becomes of one row of marks, such as a test's decorators: pure, without a syntax tree.

A row is changed entry by entry, so that whatever stands between the marks stays where it is.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tonnage.lint.edit_marks import MarkChange, MarkText

# A comment such as "# peak 18.5 GiB" has two parts, each with its own author.
_PART = re.compile(r"\s+(?=# )")
# pytest.mark.parametrize is a mark in name only: others are not sorted around it.
_NO_NEIGHBOUR = "parametrize"


@dataclass(frozen=True, slots=True)
class RowMark:
    """A mark in a row: its name, and its expression in one form whatever the file's imports."""

    name: str
    meaning: str


Row = Sequence[RowMark | None]
"""The entries of a row in source order; None: no mark, such as another decorator."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the row to be.

    `slot`: the entry of the old row whose place it takes, None: a new place. `origin`: the entry
    of the old row whose comments it has, None: none of them. `mark`: what is to stand there, None:
    what stood at `origin`.
    """

    slot: int | None
    origin: int | None
    mark: MarkText | None = None


def arranged(
    row: Row, change: MarkChange, meaning: Callable[[str], str], order: Sequence[str]
) -> list[Entry]:
    """The row after the change. `meaning` gives an expression in the form that RowMark has.

    Places of removed marks go to new ones first, so that a replacement stands where the old mark
    stood.
    """
    removed = {text if text.isidentifier() else meaning(text) for text in change.remove}
    free = [i for i, mark in enumerate(row) if mark and removed & {mark.name, mark.meaning}]
    entries = [Entry(i, i) for i in range(len(row))]
    homeless: list[MarkText] = []
    dropped: set[int] = set()
    for text in change.set:
        same = [i for i, mark in enumerate(row) if mark and mark.name == text.name]
        same = [i for i in same if i not in free]
        if not same:
            homeless.append(text)
            continue
        entries[same[0]] = Entry(same[0], same[0], text)
        dropped.update(same[1:])
    present = {mark.meaning for i, mark in enumerate(row) if mark and i not in free}
    homeless += [text for text in change.add if meaning(text.expression) not in present]
    movable = list(free)
    for slot, text in zip(free, homeless, strict=False):
        wanted = meaning(text.expression)
        origin = next((i for i in movable if _meaning(row, i) == wanted), None)
        if origin is not None:
            movable.remove(origin)
        entries[slot] = Entry(slot, origin, text)
    dropped.update(free[len(homeless) :])
    entries = [entry for entry in entries if entry.slot not in dropped]
    for text in homeless[len(free) :]:
        entries.insert(_position(entries, row, text.name, order), Entry(None, None, text))
    return entries


def _meaning(row: Row, index: int) -> str:
    mark = row[index]
    return mark.meaning if mark else ""


def _position(entries: Sequence[Entry], row: Row, name: str, order: Sequence[str]) -> int:
    """Where a new mark goes: in order where the others are in order, else after the last one.

    Without other marks: on top of the decorators, where it is sure to reach the test.
    """
    ranks: list[tuple[int, float]] = []
    for index, entry in enumerate(entries):
        if (found := _name(entry, row)) is not None and found != _NO_NEIGHBOUR:
            ranks.append((index, _rank(found, order)))
    if not ranks:
        return 0
    known = [rank for _, rank in ranks if rank < math.inf]
    if known == sorted(known):
        mine = _rank(name, order)
        before = [index for index, rank in ranks if rank <= mine or rank == math.inf]
        # A name outside the table has no rank of its own: it stays with what stands above it.
        later = [index for index, rank in ranks if mine < rank < math.inf]
        return later[0] if later else (before[-1] + 1)
    return ranks[-1][0] + 1


def _name(entry: Entry, row: Row) -> str | None:
    if entry.mark is not None:
        return entry.mark.name
    mark = row[entry.slot] if entry.slot is not None else None
    return mark.name if mark else None


def _rank(name: str, order: Sequence[str]) -> float:
    return order.index(name) if name in order else math.inf


def is_unchanged(entries: Sequence[Entry], row: Row, meaning: Callable[[str], str]) -> bool:
    """Whether every expression stays as and where it is; comments apart."""
    return len(entries) == len(row) and all(
        entry.slot == index
        and (entry.mark is None or _meaning(row, index) == meaning(entry.mark.expression))
        for index, entry in enumerate(entries)
    )


def merged_comment(old: str | None, new: str) -> str | None:
    """A line's comment with our part in it, replacing the part that begins with the same word.

    `old` has its `#`, `new` has none; empty: the old comment stays.
    """
    # A "#" of its own would begin another part.
    new = " ".join(word for word in new.split() if word.strip("#"))
    if not new:
        return old
    ours = f"# {new}"
    if old is None:
        return ours
    parts = _PART.split(old)
    topic = new.split()[0]
    if any(_topic(part) == topic for part in parts):
        kept = [ours if _topic(part) == topic else part for part in parts]
        return "  ".join(dict.fromkeys(kept))
    return f"{old}  {ours}"


def _topic(part: str) -> str:
    words = part.lstrip("# ").split()
    return words[0] if words else ""
