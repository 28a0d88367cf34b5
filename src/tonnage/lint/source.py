"""One test file as the reading found it, and what was wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tonnage.lint.facts import NO_FACTS, FileFacts
from tonnage.lint.model import DeclaredTest, Place
from tonnage.lint.outline import Ignore


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file could not be read, in one line: it is reported and the other files are checked."""

    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that was read.

    `path` is relative to the root, as in node ids; `file` is where it lies. `is_collected`: pytest
    collects it from its directory, by its name; `hidden_tests`: so many tests it would find if the
    name matched, counted where the name looks like a test file's. `unknown`: why pytest may find
    tests here that were not seen.
    """

    path: str
    file: Path
    is_collected: bool = True
    problems: tuple[Problem, ...] = ()
    facts: FileFacts = NO_FACTS
    unknown: tuple[str, ...] = ()
    content_hash: str = ""
    hidden_tests: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading some paths gave: the files in the order of pytest, and their tests.

    `ignores`: the comments of these files and of those they inherit or import from, by path.
    """

    files: tuple[SourceFile, ...] = ()
    tests: tuple[DeclaredTest, ...] = ()
    ignores: Mapping[str, tuple[Ignore, ...]] = field(default_factory=dict)
