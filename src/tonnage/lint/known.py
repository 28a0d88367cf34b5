"""What an expression stands for, as far as it is known without running anything."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tonnage.lint.model import Case, PlacedMark
from tonnage.lint.outline import Class, Function

if TYPE_CHECKING:
    from tonnage.lint.tree import Module


@dataclass(frozen=True, slots=True)
class TheFunction:
    """A function of a file that was read, perhaps with marks put on it by hand."""

    function: Function
    module: "Module"
    marks: tuple["TheMark", ...] = ()


@dataclass(frozen=True, slots=True)
class TheClass:
    """A class of a file that was read."""

    outline: Class
    module: "Module"


@dataclass(frozen=True, slots=True)
class TheModule:
    """A module of the tree."""

    module: "Module"


@dataclass(frozen=True, slots=True)
class Outside:
    """Something that is not in the tree, by its full name, such as `unittest.TestCase`."""

    dotted: str


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of a parametrisation that bring marks.

    `possible`: marks that others may bring, by name with the reason; `doubts`: why there may be
    any.
    """

    marked: tuple[Case, ...] = ()
    possible: tuple[tuple[str, str], ...] = ()
    doubts: tuple[str, ...] = ()


NO_CASES = Cases()


@dataclass(frozen=True, slots=True)
class TheMark:
    """A mark; for parametrize also what its cases bring."""

    mark: PlacedMark
    cases: Cases = NO_CASES


@dataclass(frozen=True, slots=True)
class TheCase:
    """A `pytest.param`; `doubts`: why it may bring more marks."""

    case: Case
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TheFixture:
    """What `pytest.fixture` gives: a decorator, or a function under it."""

    name: str = ""
    is_autouse: bool = False
    cases: Cases = NO_CASES


@dataclass(frozen=True, slots=True)
class Plain:
    """Data without marks; `value` is UNREAD where only that is known."""

    value: object


@dataclass(frozen=True, slots=True)
class Listed:
    """A list or tuple."""

    items: tuple["Known", ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these."""

    options: tuple["Known", ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything; `reason` completes "it is not known because"."""

    reason: str


Known = (
    TheFunction
    | TheClass
    | TheModule
    | Outside
    | TheMark
    | TheCase
    | TheFixture
    | Plain
    | Listed
    | OneOf
    | Unknown
)
