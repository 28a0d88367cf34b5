"""Which tests a command line means: asked of pytest itself, in a process of its own.

So `-m`, `-k`, node ids, `skip` marks, conftests and configuration count exactly as in a run.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonnage.errors import MarkerError, TonnageError
from tonnage.markers.marks import MarkValue
from tonnage.markers.requirement import Requirement, requirement_of
from tonnage.markers.vocabulary import Vocabulary
from tonnage.profile.selecting import FILE_VARIABLE
from tonnage.units import plural

_NO_TESTS = 5  # pytest's exit status when nothing was collected
_MOST_NAMED = 5


class SelectionError(TonnageError):
    """The command line selects no test that could be profiled."""


Holder = tuple[str, ...] | int | None
"""What carries a mark: a function, class or file, by its path inside the file (empty: the file);
a case, by a number that tests which share the mark have in common; None: something elsewhere, such
as a base class or a hook."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A test's place in its file, and what carries its marks.

    `target` is the path inside the file: classes, then the function. `ids` are those of its case,
    one for each parametrisation. `holders` says by name what carries the closest of its marks.
    """

    target: tuple[str, ...]
    ids: tuple[str, ...]
    holders: Mapping[str, Holder]

    @property
    def key(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What no other test of the file has."""
        return self.target, self.ids


@dataclass(frozen=True, slots=True)
class SelectedTest:
    """One test as pytest collected it. `line` counts from 1; `marks` are closest first."""

    node_id: str
    path: Path
    line: int
    skips: bool
    marks: tuple[MarkValue, ...]
    standing: Standing

    def requirement(self, vocabulary: Vocabulary) -> Requirement:
        """What its marks declare; nothing where they contradict each other."""
        try:
            return requirement_of(self.marks, vocabulary)
        except MarkerError:
            return Requirement()


@dataclass(frozen=True, slots=True)
class Selection:
    """What a command line selects. `options` are its arguments without the paths and node ids.

    `files` are all tests of each file with a selected one, since they may share marks.
    """

    root: Path
    options: tuple[str, ...]
    tests: tuple[SelectedTest, ...]
    skipped: tuple[str, ...]
    files: Mapping[Path, tuple[Standing, ...]]


def select_tests(arguments: Sequence[str], environ: Mapping[str, str]) -> Selection:
    """The tests that `pytest ARGUMENTS` would run, without those it would skip.

    Raises SelectionError, with what pytest said, when there is none.
    """
    with tempfile.TemporaryDirectory(prefix="tonnage-profile-") as scratch:
        file = Path(scratch) / "selection.json"
        plugin = ["-p", "tonnage.profile.selecting"]
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *plugin, *arguments]
        done = subprocess.run(
            command,
            env={**environ, FILE_VARIABLE: str(file)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        found = _read(file)
    tests = [_test(data) for data in found.get("tests", [])]
    if done.returncode not in (0, _NO_TESTS) or (not tests and not found.get("deselected")):
        raise SelectionError(
            f"pytest selects no test:\n{_said(done.stdout)}",
            where=" ".join(arguments) or os.curdir,
            remedy="Give the node id, file or expression of a test that pytest collects.",
        )
    runnable = tuple(test for test in tests if not test.skips)
    if not runnable:
        raise SelectionError(_why_none(tests, found["deselected"]), where=" ".join(arguments))
    return Selection(
        root=Path(found["root"]),
        options=_without(arguments, found["positional"]),
        tests=runnable,
        skipped=tuple(test.node_id for test in tests if test.skips),
        files={
            Path(path): tuple(map(_standing, standings))
            for path, standings in found["files"].items()
        },
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data


def _test(data: Mapping[str, Any]) -> SelectedTest:
    return SelectedTest(
        node_id=data["node_id"],
        path=Path(data["path"]),
        line=(data["line"] or 0) + 1,
        skips=data["skips"],
        marks=tuple(MarkValue(name, tuple(args), kwargs) for name, args, kwargs in data["marks"]),
        standing=_standing(data["standing"]),
    )


def _standing(data: Mapping[str, Any]) -> Standing:
    return Standing(
        target=tuple(data["target"]),
        ids=tuple(data["ids"]),
        holders={
            name: tuple(holder) if isinstance(holder, list) else holder
            for name, holder in data["holders"].items()
        },
    )


def _without(arguments: Sequence[str], positional: Sequence[str]) -> tuple[str, ...]:
    """The arguments without the positional ones, each taken away where it stands last."""
    left = list(arguments)
    for argument in positional:
        if argument in left:
            del left[len(left) - 1 - left[::-1].index(argument)]
    return tuple(left)


def _why_none(tests: Sequence[SelectedTest], deselected: Sequence[str]) -> str:
    if tests:
        names = _listed([test.node_id for test in tests])
        return f"{plural(len(tests), 'test is', 'tests are')} skipped by a mark: {names}"
    names = _listed(deselected)
    return f"{plural(len(deselected), 'test is', 'tests are')} deselected by an option: {names}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _said(output: str) -> str:
    """What pytest said was wrong, else the end of what it said."""
    lines = [line for line in output.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line.startswith("ERROR")]
    return "\n".join(f"  {line}" for line in lines[starts[0] if starts else -30 :][:30])
