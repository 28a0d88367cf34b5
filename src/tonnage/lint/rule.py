"""What a rule is: its words for people, and the function that looks for breaches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tonnage.lint.context import Context
from tonnage.lint.model import DeclaredTest, Edit, IgnoredCode, Place, Severity
from tonnage.lint.source import SourceFile


@dataclass(frozen=True, slots=True)
class Found:
    """One breach as a rule sees it. `place` None: where the test is declared."""

    message: str
    place: Place | None = None
    remedy: str = ""
    edits: tuple[Edit, ...] = ()
    unused: IgnoredCode | None = None


TestCheck = Callable[[DeclaredTest, Context], Iterator[Found]]
FileCheck = Callable[[SourceFile, Sequence[DeclaredTest], Context], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the contract. `keys` are the settings in [tool.tonnage.lint] that it reads.

    `of_test` looks at one declared test, in a file or at collection. Whether it finds anything
    depends on the test's marks alone, so that tests with the same marks are looked at once; on the
    names of its marks and its file, if `reads_place`; on all of it, if `reads_history`. `of_file`
    looks at a file with its tests. A rule about Rust, scripts or ignore comments has neither: its
    reader finds the breaches. `needs_all_marks`: silent on a test that may have marks which
    were not seen.
    `can_judge`: whether the project says what the rule judges by; without, it finds nothing.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    explanation: str
    bad: str
    good: str
    of_test: TestCheck | None = None
    of_file: FileCheck | None = None
    needs_all_marks: bool = False
    reads_place: bool = False
    reads_history: bool = False
    fixable: bool = False
    keys: tuple[str, ...] = ()
    language: str = "python"
    can_judge: Callable[[Context], bool] = lambda context: True
