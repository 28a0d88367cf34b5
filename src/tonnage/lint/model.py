"""What lint works on, as plain data: marks with their places, tests, findings.

The static reading and pytest's own collection both end in `DeclaredTest`, so that one set of rules
serves both.
"""

from dataclasses import dataclass, field
from enum import Enum

from tonnage.markers.marks import MarkValue


@dataclass(frozen=True, slots=True)
class Place:
    """A span in a file. Lines and columns count from 1; `end_column` is one past the last."""

    path: str
    line: int
    column: int = 1
    end_line: int = 0
    end_column: int = 0


class Level(str, Enum):
    """Where a mark stands, closest to the test first."""

    CASE = "case"  # pytest.param(..., marks=...)
    TEST = "test"  # a decorator of the function
    CLASS = "class"  # a decorator or pytestmark of a class or its bases
    MODULE = "module"  # the module's pytestmark
    ELSEWHERE = "elsewhere"  # a conftest or plugin


class Unread(Enum):
    """Stands for an argument that cannot be known without running the file."""

    VALUE = "?"


UNREAD = Unread.VALUE


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A mark and where it stands; `place` None: not in a file that was read."""

    value: MarkValue
    level: Level
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One `pytest.param` that carries marks of its own. `id` as far as it is written out."""

    marks: tuple[PlacedMark, ...]
    place: Place | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredTest:
    """One test as declared: what pytest would collect, without its parametrisation.

    `marks` are closest first, as `iter_markers` gives them, without those of single `cases`.
    `unknown`: why there may be further marks that were not seen (empty: all are known); rules that
    need all marks are then silent. `possible`: marks that it may have besides, by name, each with
    the reason; rules about the lack of such a mark are then silent. `maybe`: why pytest may not
    collect it after all, such as an `if` around it.
    """

    node_id: str
    place: Place
    name: str
    class_path: tuple[str, ...] = ()
    marks: tuple[PlacedMark, ...] = ()
    cases: tuple[Case, ...] = ()
    unknown: tuple[str, ...] = ()
    possible: tuple[tuple[str, str], ...] = ()
    maybe: tuple[str, ...] = ()


class Severity(str, Enum):
    """How much a finding weighs. Only errors and warnings make `tonnage lint` exit with 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of one rule. `test` is the node id concerned, empty for a whole file.

    `remedy` is one sentence. `edits` is what a fix would do to marks, `unused` what it would take
    out of an ignore comment; neither when there is no fix.
    """

    code: str
    message: str
    place: Place
    severity: Severity = Severity.ERROR
    test: str = ""
    remedy: str = ""
    edits: tuple["Edit", ...] = field(default=())
    unused: "IgnoredCode | None" = None


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of marks in a source file, in words that the editor carries out.

    `target` is the test or class inside its file, such as ("TestX", "test_y"); empty: the module.
    `remove` and `add` are the text of mark expressions such as `pytest.mark.gpu_1`; `safe`: it
    cannot change what the test does.
    """

    path: str
    target: tuple[str, ...]
    remove: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    safe: bool = True


@dataclass(frozen=True, slots=True)
class IgnoredCode:
    """One code of an ignore comment, which begins at a line and column; empty: it has none."""

    path: str
    line: int
    column: int
    code: str
