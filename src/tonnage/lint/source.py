"""One test file as the reading found it, and what was wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tonnage.lint.facts import NO_FACTS, FileFacts
from tonnage.lint.model import DeclaredTest, Place


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
    name matched, counted where the name looks like a test file's. `ignores` maps a line to the
    codes that a `# tonnage: ignore[CODE]` comment silences there; a comment without codes silences
    all, which is the empty set. `unknown`: why pytest may find tests here that were not seen.
    """

    path: str
    file: Path
    is_collected: bool = True
    problems: tuple[Problem, ...] = ()
    ignores: Mapping[int, frozenset[str]] = field(default_factory=dict)
    facts: FileFacts = NO_FACTS
    unknown: tuple[str, ...] = ()
    content_hash: str = ""
    hidden_tests: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading some paths gave: the files in the order of pytest, and their tests."""

    files: tuple[SourceFile, ...] = ()
    tests: tuple[DeclaredTest, ...] = ()
