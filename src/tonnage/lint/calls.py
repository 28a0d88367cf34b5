"""What a call gives: of a mark, of what pytest and other packages define."""

import sys

from tonnage.lint.known import (
    NO_CASES,
    Known,
    Plain,
    TheCase,
    TheClass,
    TheFixture,
    TheFunction,
    TheMark,
    Unknown,
)
from tonnage.lint.known_marks import cases_of, holds_marks, marks_in, plain_value
from tonnage.lint.model import UNREAD, Case, Level, Place, PlacedMark
from tonnage.markers.marks import MarkValue

# Calls of these give data without marks when they are given such data.
_DATA_MODULES = frozenset(sys.stdlib_module_names) | {"numpy", "scipy", "pandas", "torch"}
# Builtins that give what they are given.
_PASS_ON = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed"})
# Of these modules' functions, those that may give anything all the same.
_GIVES_ANYTHING = frozenset(
    {"builtins.getattr", "builtins.eval", "builtins.next", "functools.partial", "functools.reduce"}
)

UNREAD_VALUE = Plain(UNREAD)
"""Data of which only that is known."""


def mark_called(
    called: TheMark, args: list[Known], kwargs: dict[str, Known], place: Place
) -> Known:
    """A mark with arguments, or put on a function or class by hand."""
    if len(args) == 1 and not kwargs and isinstance(args[0], (TheFunction, TheClass)):
        subject = args[0]
        if isinstance(subject, TheFunction):
            return TheFunction(subject.function, subject.module, (*subject.marks, called))
        return Unknown("a mark is put on a class by hand")
    value = called.mark.value
    cases = NO_CASES
    if value.name == "parametrize":
        cases = cases_of(args[1] if len(args) > 1 else kwargs.get("argvalues", UNREAD_VALUE))
    new = MarkValue(
        value.name,
        (*value.args, *map(plain_value, args)),
        {**value.kwargs, **{name: plain_value(known) for name, known in kwargs.items() if name}},
    )
    return TheMark(PlacedMark(new, called.mark.level, place), cases)


def made_outside(dotted: str, args: list[Known], kwargs: dict[str, Known], place: Place) -> Known:
    """What a function outside the tree gives."""
    root, _, name = dotted.partition(".")
    if dotted == "pytest.param":
        return _param(kwargs, place)
    if dotted.rpartition(".")[2] in {"fixture", "yield_fixture"}:
        return _fixture(args, kwargs)
    if root == "builtins" and name in _PASS_ON and len(args) == 1:
        return args[0]
    given = [*args, *kwargs.values()]
    is_data = (root == "builtins" or root in _DATA_MODULES) and dotted not in _GIVES_ANYTHING
    if is_data and not any(holds_marks(known) for known in given):
        return UNREAD_VALUE
    return Unknown(f"`{dotted.removeprefix('builtins.')}` computes it")


def _param(kwargs: dict[str, Known], place: Place) -> Known:
    marks, possible, unknown = marks_in(kwargs.get("marks", UNREAD_VALUE))
    identity = plain_value(kwargs.get("id", UNREAD_VALUE))
    doubts = [*unknown, *(reason for _, reason in possible)]
    if "" in kwargs:
        doubts.append("a pytest.param takes `**` arguments")
    placed = tuple(
        PlacedMark(mark.mark.value, Level.CASE, mark.mark.place or place) for mark in marks
    )
    return TheCase(
        Case(placed, place, identity if isinstance(identity, str) else None), tuple(doubts)
    )


def _fixture(args: list[Known], kwargs: dict[str, Known]) -> Known:
    cases = cases_of(kwargs.get("params", UNREAD_VALUE))
    name = plain_value(kwargs.get("name", Plain("")))
    is_autouse = plain_value(kwargs.get("autouse", Plain(False)))
    return TheFixture(name if isinstance(name, str) else "", is_autouse is not False, cases)
