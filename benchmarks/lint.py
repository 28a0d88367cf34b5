"""How long lint takes: against pytest's own collection of the same tests, and against itself warm.

    python benchmarks/lint.py [--quick] [--json FILE]

10,000 generated tests in 400 files, all rules, nothing to find. Cold: nothing is kept from an
earlier run, neither lint's cache nor compiled test modules. Warm: nothing has changed since the
last run. Goals: cold at least 20 times as fast as `pytest --collect-only` cold, warm at most a
tenth of cold. pytest with its modules compiled already and `ruff check` of the same files are there
for scale; they have no goal. Wall time counts, the start of Python included.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from _side_by_side import Row, environment, interleave, options, report

BIN = Path(sys.executable).parent
MARKERS = ("pre_merge", "unit", "gpu_0", "gpu_1", "max_vram_gib", "timeout")

HEAD = '''"""Tests of part {part}."""

import pytest

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit]
'''
FUNCTION = """

@pytest.mark.gpu_0
def test_case_{case}():
    values = [number * {case} for number in range(10)]
    total = sum(values)
    assert total == {case} * 45
    assert len(values) == 10
"""
CLASS = '''

class TestGroup{case}:
    """A group."""

    @pytest.mark.gpu_1
    @pytest.mark.max_vram_gib(4.5)
    @pytest.mark.timeout(60)
    def test_case_{case}(self, tmp_path):
        path = tmp_path / "file.txt"
        path.write_text("hello {case}")
        assert path.read_text() == "hello {case}"
'''


def write_suite(directory: Path, tests: int, per_file: int = 25) -> None:
    """Write so many tests, every tenth in a class of its own."""
    registered = "".join(f"    {name}\n" for name in MARKERS)
    (directory / "pytest.ini").write_text(f"[pytest]\nmarkers =\n{registered}")
    (directory / "tests").mkdir()
    for part in range(tests // per_file):
        bodies = [
            (CLASS if case % 10 == 9 else FUNCTION).format(case=case) for case in range(per_file)
        ]
        text = HEAD.format(part=part) + "".join(bodies)
        (directory / "tests" / f"test_part_{part}.py").write_text(text)


def seconds(
    directory: Path, command: Sequence[str | Path], statuses: Sequence[int] = (0,)
) -> float:
    """Wall time of one run, which must end with one of these exit codes."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=directory, env=environment(), capture_output=True, text=True, check=False
    )
    took = time.monotonic() - started
    if done.returncode not in statuses:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return took


def forget(directory: Path) -> None:
    """Remove everything an earlier run left."""
    for path in [
        directory / ".tonnage",
        directory / ".pytest_cache",
        *directory.rglob("__pycache__"),
    ]:
        shutil.rmtree(path, ignore_errors=True)


def sides(directory: Path) -> dict[str, Callable[[], float]]:
    """What is timed, each after the state it needs is made."""
    lint = [BIN / "tonnage", "lint"]
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]

    def cold(command: Sequence[str | Path]) -> float:
        forget(directory)
        return seconds(directory, command)

    def warm(command: Sequence[str | Path]) -> float:
        seconds(directory, command)
        return seconds(directory, command)

    return {
        "lint cold": lambda: cold(lint),
        "lint warm": lambda: warm(lint),
        "pytest cold": lambda: cold(collect),
        "pytest warm": lambda: warm(collect),
        "ruff": lambda: seconds(directory, [BIN / "ruff", "check", "--no-cache", "."], (0, 1)),
    }


def main() -> None:
    """Measure all and print them."""
    chosen = options(__doc__.splitlines()[0])
    tests, repetitions = (1000, 1) if chosen.quick else (10_000, 5)
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as scratch:
        directory = Path(scratch)
        write_suite(directory, tests)
        times = interleave(sides(directory), repetitions)
    rows = [
        Row(
            f"{tests} tests, nothing known from before",
            "tonnage lint",
            times["lint cold"],
            "pytest --collect-only",
            times["pytest cold"],
            at_least=20,
        ),
        Row(
            f"{tests} tests, nothing changed",
            "tonnage lint, warm",
            times["lint warm"],
            "tonnage lint, cold",
            times["lint cold"],
            at_most=0.1,
        ),
    ]
    notes = {name: times[name] for name in ("pytest warm", "ruff")}
    report(rows, {**notes, "cpus": os.cpu_count()}, chosen.json)
    for name, measured in notes.items():
        print(f"for scale: {name:<34}{sorted(measured)[len(measured) // 2]:9.3f} s")


if __name__ == "__main__":
    main()
