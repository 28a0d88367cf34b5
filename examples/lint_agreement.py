"""A project's tests, read by `tonnage lint` and collected by pytest: both must see the same.

    python examples/lint_agreement.py DIRECTORY [PATHS]... [--python PYTHON] [--json FILE]

Compared are node ids (without parameters) and the names of the marks. pytest runs on PYTHON, in
which the project must be installed, and without the plugins that are installed there. Where it
could not import a file there is nothing to compare.

A difference that the reading declared (a reason in `unknown`, `maybe` or `possible`) is counted as
explained. Any other is printed, and the exit code is 1; it is 2 where nothing could be compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tonnage.lint.model import DeclaredTest
from tonnage.lint.project import find_project
from tonnage.lint.read import read_paths
from tonnage.lint.source import Reading

SHOWN_DIFFERENCES = 20

# Loaded by `-p`: writes what pytest collected, without parameters, and what it could not.
COLLECTED_PLUGIN = """
import json
import os

collected = {}
not_collected = []


def pytest_collectreport(report):
    if not report.passed:
        not_collected.append(report.nodeid)


def pytest_collection_finish(session):
    for item in session.items:
        parent = item.parent.nodeid if item.parent else ""
        name = getattr(item, "originalname", None)
        if name is None or type(item).__module__.split(".")[0] not in ("_pytest", "pytest"):
            continue
        marks = collected.setdefault(parent + "::" + name, set())
        marks.update(mark.name for mark in item.iter_markers())
    with open(os.environ["COLLECTED_FILE"], "w") as file:
        tests = {node_id: sorted(marks) for node_id, marks in collected.items()}
        json.dump({"tests": tests, "not_collected": not_collected}, file)
"""


@dataclass(frozen=True)
class Collected:
    """What pytest saw: the marks of each test, and the files or classes it could not collect."""

    tests: Mapping[str, frozenset[str]]
    not_collected: tuple[str, ...]


@dataclass
class Agreement:
    """One comparison. `explained` counts differences by the reason that the reading gave."""

    compared: int = 0
    certain: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


class CollectionError(Exception):
    """pytest collected nothing at all."""


def collect(
    python: str, root: Path, paths: Sequence[str], options: Sequence[str] = ()
) -> Collected:
    """What `pytest --collect-only PATHS` sees in `root`, plugins that are installed left out."""
    with tempfile.TemporaryDirectory(prefix="tonnage-agreement-") as scratch:
        (Path(scratch) / "note_collected.py").write_text(COLLECTED_PLUGIN)
        noted = Path(scratch) / "collected.json"
        done = subprocess.run(
            [python, "-m", "pytest", "--collect-only", "-q", "-p", "note_collected",
             "-p", "no:cacheprovider", "--continue-on-collection-errors", *options, *paths],
            cwd=root,
            env={
                **{name: text for name, text in os.environ.items() if "PYTEST" not in name},
                "PYTHONPATH": scratch,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "COLLECTED_FILE": str(noted),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )  # fmt: skip
        if not noted.exists():
            raise CollectionError(f"pytest ended with exit code {done.returncode}\n{done.stdout}")
        found = json.loads(noted.read_text())
    tests = {node_id: frozenset(marks) for node_id, marks in found["tests"].items()}
    return Collected(tests, tuple(found["not_collected"]))


def read(root: Path, paths: Sequence[str]) -> Reading:
    """What the static reading sees."""
    absolute = [(root / path).resolve() for path in paths] or [root.resolve()]
    return read_paths(absolute, find_project(absolute, root.resolve()))


def compare(reading: Reading, collected: Collected) -> Agreement:
    """Where reading and collection differ."""
    agreement = Agreement()
    declared = {test.node_id: test for test in reading.tests}
    doubts = {source.path: source.unknown for source in reading.files}
    lost = tuple(f"{node_id}{end}" for node_id in collected.not_collected for end in ("::", "/"))
    for node_id, marks in collected.tests.items():
        agreement.compared += 1
        test = declared.get(node_id)
        if test is not None:
            agreement.certain += not test.unknown
            _compare_marks(test, marks, agreement)
            continue
        reasons = doubts.get(node_id.partition("::")[0], ())
        if reasons:
            agreement.explained[reasons[0]] += 1
        else:
            agreement.differences.append(f"{node_id}: only pytest sees it")
    for node_id, test in declared.items():
        if node_id not in collected.tests and not f"{node_id}::".startswith(lost):
            if test.maybe:
                agreement.explained[test.maybe[0]] += 1
            else:
                agreement.differences.append(f"{node_id}: only the reading sees it")
    return agreement


def _compare_marks(test: DeclaredTest, real: frozenset[str], agreement: Agreement) -> None:
    named = {mark.value.name for mark in test.marks}
    named |= {mark.value.name for case in test.cases for mark in case.marks}
    surplus = named - real
    if surplus:
        agreement.differences.append(f"{test.node_id}: has no {', '.join(sorted(surplus))}")
    lacking = real - named - {name for name, _ in test.possible}
    if lacking and test.unknown:
        agreement.explained[test.unknown[0]] += 1
    elif lacking:
        agreement.differences.append(f"{test.node_id}: also has {', '.join(sorted(lacking))}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare one directory and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="the project's root")
    parser.add_argument("paths", nargs="*", help="what to collect there (default: everything)")
    parser.add_argument("--python", default=sys.executable, help="the project's interpreter")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    chosen = parser.parse_args(arguments)
    try:
        collected = collect(chosen.python, chosen.directory, chosen.paths)
    except CollectionError as error:
        print(f"lint_agreement: {error}", file=sys.stderr)
        return 2
    agreement = compare(read(chosen.directory, chosen.paths), collected)
    print(
        f"{agreement.compared} tests compared, {agreement.certain} with all marks known; "
        f"{agreement.explained.total()} differences explained, {len(agreement.differences)} not"
    )
    for line in agreement.differences[:SHOWN_DIFFERENCES]:
        print(f"  {line}")
    if chosen.json:
        figures = {
            "compared": agreement.compared,
            "certain": agreement.certain,
            "explained": dict(agreement.explained),
            "differences": agreement.differences,
            "not_collected": collected.not_collected,
        }
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    if not agreement.compared:
        return 2
    return 1 if agreement.differences else 0


if __name__ == "__main__":
    sys.exit(main())
