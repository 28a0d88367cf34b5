"""The marks and cases in what is known of an expression."""

from collections.abc import Iterator

from tonnage.lint.known import (
    Cases,
    Known,
    Listed,
    OneOf,
    Outside,
    Plain,
    TheCase,
    TheMark,
    Unknown,
)
from tonnage.lint.model import UNREAD, Case

Marks = tuple[list[TheMark], list[tuple[str, str]], list[str]]
"""Marks that are there; marks that may be, by name with the reason; why there may be any others."""


def marks_in(known: Known) -> Marks:
    """The marks in what `pytestmark`, `marks=` or a decorator was given."""
    if isinstance(known, TheMark):
        return [known], [], []
    if isinstance(known, Listed):
        marks: list[TheMark] = []
        possible: list[tuple[str, str]] = []
        unknown: list[str] = []
        for item in known.items:
            more = marks_in(item)
            marks += more[0]
            possible += more[1]
            unknown += more[2]
        return marks, possible, unknown
    if isinstance(known, OneOf):
        return _marks_of_one(known)
    if isinstance(known, Unknown):
        return [], [], [known.reason]
    if isinstance(known, Outside) and not known.dotted.startswith("builtins."):
        return [], [], [f"`{known.dotted}` is not in the files that were read"]
    return [], [], []


def _marks_of_one(known: OneOf) -> Marks:
    """Marks that all options have are there; those of some may be."""
    found = [marks_in(option) for option in known.options]
    common = set.intersection(*({mark.mark.value.name for mark in marks} for marks, _, _ in found))
    certain = [mark for mark in found[-1][0] if mark.mark.value.name in common]
    possible = [
        (mark.mark.value.name, "it depends on a condition")
        for marks, _, _ in found
        for mark in marks
        if mark.mark.value.name not in common
    ]
    possible += [pair for _, more, _ in found for pair in more]
    return certain, list(dict.fromkeys(possible)), [why for _, _, more in found for why in more]


def cases_of(values: Known) -> Cases:
    """What the values of a parametrisation bring."""
    marked: list[Case] = []
    possible: list[tuple[str, str]] = []
    doubts: list[str] = []
    for item in listed(values):
        if isinstance(item, TheCase):
            doubts.extend(item.doubts)
            if item.case.marks:
                marked.append(item.case)
        elif isinstance(item, OneOf):
            # It depends on a condition which of these cases there are.
            for cases in map(cases_of, item.options):
                names = (mark.value.name for case in cases.marked for mark in case.marks)
                possible.extend((name, "a case of a parametrisation may have it") for name in names)
                possible.extend(cases.possible)
                doubts.extend(cases.doubts)
        elif isinstance(item, Unknown):
            doubts.append(f"a parametrisation may bring marks: {item.reason}")
    return Cases(tuple(marked), tuple(dict.fromkeys(possible)), tuple(dict.fromkeys(doubts)))


def listed(known: Known) -> Iterator[Known]:
    """The items of a list; what is not known to be one counts as an item of its own."""
    if isinstance(known, Listed):
        yield from known.items
    elif not isinstance(known, Plain):
        yield known


def holds_marks(known: Known) -> bool:
    """Whether marks, or what makes them, are in it."""
    if isinstance(known, (Listed, OneOf)):
        inner = known.items if isinstance(known, Listed) else known.options
        return any(map(holds_marks, inner))
    if isinstance(known, Outside):
        return known.dotted.startswith("pytest.")  # `map(pytest.param, ...)`
    return isinstance(known, (TheMark, TheCase))


def plain_value(known: Known) -> object:
    """The value of plain data, UNREAD of anything else."""
    return known.value if isinstance(known, Plain) else UNREAD
