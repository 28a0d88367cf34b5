"""Reading what is written inside a mark's parentheses: numbers and names, or a problem in words."""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tonnage.errors import MarkerProblem, suggestion
from tonnage.markers.marks import MarkValue

T = TypeVar("T")


class WrongValueError(ValueError):
    """An argument cannot be used; the text says what it must be."""


@dataclass(frozen=True, slots=True)
class Said:
    """A value and where it is said: the mark's name, and how a message shows the place."""

    value: Any
    mark: str
    shown: str


def shown(value: object) -> str:
    """A value as a message shows it: short, whatever its repr does."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no int of more than 4300 digits
        return f"a {type(value).__name__} too long to show"


def amount(value: object) -> float:
    """A finite number of at least 0. True and False are no numbers."""
    number = _finite(value)
    if number is None or number < 0:
        raise WrongValueError("a number of at least 0")
    return number


def positive(value: object) -> float:
    """A finite number above 0; a whole one stays an int."""
    number = _finite(value)
    if number is None or number <= 0:
        raise WrongValueError("a number above 0")
    return value if isinstance(value, int) else number


def whole(least: int) -> Callable[[object], int]:
    """A reader of whole numbers from `least`."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise WrongValueError(f"a whole number of at least {least}")
        return value

    return read


def name(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise WrongValueError("a name in quotes")
    return value


def names(value: object) -> frozenset[str]:
    """One name, or a list, tuple or set of names."""
    values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    try:
        return frozenset(map(name, values))
    except WrongValueError:
        raise WrongValueError("a name in quotes, or several in a list") from None


def choice(*known: str) -> Callable[[object], str]:
    """A reader of one of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise WrongValueError(f"one of {', '.join(known)}")
        return value

    return read


def seconds(value: object) -> float | None:
    """A timeout as pytest-timeout reads it: a number or its text; None when 0 or None is given."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise WrongValueError("a number of seconds") from None
    if value is None:
        return None
    try:
        return amount(value) or None
    except WrongValueError:
        raise WrongValueError("a number of seconds, 0 for no limit") from None


def single(
    mark: MarkValue, keyword: str, read: Callable[[object], T], problems: list[MarkerProblem]
) -> T | None:
    """The one argument of a mark, positional or by keyword; None after adding a problem."""
    values = [*mark.args, *mark.kwargs.values()]
    if len(values) != 1 or not mark.kwargs.keys() <= {keyword}:
        problems.append(
            MarkerProblem(
                (mark.name,),
                f"{_call(mark)} does not have exactly one argument"
                if len(values) != 1
                else f"{_call(mark)} has an unknown keyword",
                f"Write {mark.name}({keyword}).",
            )
        )
        return None
    return read_value(values[0], read, mark.name, _call(mark), problems)


def read_value(
    value: object,
    read: Callable[[object], T],
    mark: str,
    place: str,
    problems: list[MarkerProblem],
) -> T | None:
    """What `read` makes of a value; None after adding a problem that names the mark and place."""
    try:
        return read(value)
    except WrongValueError as error:
        problems.append(
            MarkerProblem((mark,), f"{place}: {shown(value)} is not {error}", f"Give {error}.")
        )
        return None


def keywords(
    marks: Sequence[MarkValue],
    readers: Mapping[str, Callable[[object], object]],
    problems: list[MarkerProblem],
) -> dict[str, list[Said]]:
    """What marks that take only keywords say, by keyword, in the order of the marks."""
    said: dict[str, list[Said]] = {}
    for mark in marks:
        if mark.args:
            problems.append(
                MarkerProblem(
                    (mark.name,),
                    f"{_call(mark)} has an argument without a keyword",
                    f"Its keywords are {', '.join(readers)}.",
                )
            )
        for keyword, value in mark.kwargs.items():
            place = f"{mark.name}({keyword}={shown(value)})"
            if keyword not in readers:
                problems.append(
                    MarkerProblem(
                        (mark.name,),
                        f"{mark.name} has no keyword {keyword}",
                        suggestion(keyword, readers) or f"Its keywords are {', '.join(readers)}.",
                    )
                )
                continue
            found = read_value(value, readers[keyword], mark.name, place, problems)
            if found is not None:
                said.setdefault(keyword, []).append(Said(found, mark.name, place))
    return said


def _call(mark: MarkValue) -> str:
    given = [shown(value) for value in mark.args]
    given += [f"{keyword}={shown(value)}" for keyword, value in mark.kwargs.items()]
    return f"{mark.name}({', '.join(given)})"


def _finite(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    # False for NaN too; the bound keeps products with a unit finite.
    return number if abs(number) < 1e18 else None
