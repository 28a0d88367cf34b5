"""What isolation costs: packed runs against pytest-xdist and against fresh interpreters.

    python benchmarks/isolation.py [--quick] [--json FILE]

Every side runs the same generated tests, two at a time. One fresh interpreter per test is measured
on a sample and multiplied up: all of them would take an hour. The suite with a heavy import loads
torch in every test file where torch is installed, else a generated module that costs a second.
The real suite is one that examples/real_suites.py fetches. pytest-isolate is a side where it is
installed.

PYTHONDONTWRITEBYTECODE is taken out of the environment of every side, and one run of each way of
starting pytest goes before the timed ones, so that no side compiles modules while it is measured.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from _side_by_side import Row, environment, interleave, options, report, time_pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import real_suites

SLOTS = 2
REAL_SUITE = "itsdangerous"
PACK = ("--pack", "--slots", str(SLOTS), "--gpus", "none")
HEAVY = """
import time

end = time.process_time() + 1.0
while time.process_time() < end:
    pass
"""


def write_suite(directory: Path, tests: int, files: int, imported: str | None = None) -> list[str]:
    """Write so many trivial tests over so many files; their node ids, evenly mixed over files."""
    directory.mkdir()
    (directory / "pytest.ini").write_text("[pytest]\n")
    head = "" if imported is None else f"import {imported}\n\n"
    per_file = tests // files
    for number in range(files):
        bodies = (f"def test_{case}():\n    assert {case} >= 0\n" for case in range(per_file))
        (directory / f"test_{number}.py").write_text(head + "\n\n".join(bodies))
    return [f"test_{number}.py::test_{case}" for case in range(per_file) for number in range(files)]


def time_fresh(directory: Path, node_ids: Sequence[str], of: int) -> float:
    """Seconds that `of` tests take with a fresh interpreter each, from a sample of them."""

    def run_one(node_id: str) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", node_id]
        subprocess.run(
            command, cwd=directory, env=environment(), stdout=subprocess.DEVNULL, check=True
        )

    started = time.monotonic()
    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(run_one, node_ids))
    return (time.monotonic() - started) * of / len(node_ids)


def trivial(directory: Path, tests: int, sample: int, repetitions: int) -> list[Row]:
    """The rows about trivial tests, where the cost of isolation is all there is."""
    node_ids = write_suite(directory, tests, files=10)
    for ways in (PACK, ("-n", str(SLOTS))):
        time_pytest(directory, tests, *ways)  # compiles
    times = interleave(
        {
            "test": partial(time_pytest, directory, tests, *PACK, "--isolation", "test"),
            "worker": partial(time_pytest, directory, tests, *PACK, "--isolation", "worker"),
            "xdist": partial(time_pytest, directory, tests, "-n", str(SLOTS)),
            "fresh": partial(time_fresh, directory, node_ids[:sample], tests),
        },
        repetitions,
    )
    what = f"{tests} trivial tests, {SLOTS} at a time"
    fresh = f"python -m pytest NODEID ({sample} measured)"
    return [
        Row(f"{what}: a process per test", "--pack --isolation test", times["test"],
            f"pytest -n {SLOTS}", times["xdist"], at_most=1.25),
        Row(f"{what}: a process per test", "--pack --isolation test", times["test"],
            fresh, times["fresh"], at_least=25),
        Row(f"{what}: long-lived workers", "--pack --isolation worker", times["worker"],
            f"pytest -n {SLOTS}", times["xdist"], at_most=0.8),
    ]  # fmt: skip


def other_isolation(directory: Path, tests: int, repetitions: int) -> list[Row]:
    """The row about another plugin that gives each test a process."""
    write_suite(directory, tests, files=10)
    theirs = ("-n", str(SLOTS), "--isolate")
    time_pytest(directory, tests, *theirs)
    times = interleave(
        {
            "test": partial(time_pytest, directory, tests, *PACK, "--isolation", "test"),
            "isolate": partial(time_pytest, directory, tests, *theirs),
        },
        repetitions,
    )
    return [
        Row(f"{tests} trivial tests, {SLOTS} at a time: a process per test",
            "--pack --isolation test", times["test"],
            f"pytest -n {SLOTS} --isolate (pytest-isolate)", times["isolate"])
    ]  # fmt: skip


def heavy(directory: Path, module: str, tests: int, sample: int, repetitions: int) -> list[Row]:
    """The row about tests whose files import something heavy."""
    node_ids = write_suite(directory, tests, files=10, imported=module)
    if module == "heavy":
        (directory / "heavy.py").write_text(HEAVY)
    time_fresh(directory, node_ids[:1], of=1)  # compiles
    times = interleave(
        {
            "test": partial(time_pytest, directory, tests, *PACK, "--isolation", "test"),
            "fresh": partial(time_fresh, directory, node_ids[:sample], tests),
        },
        repetitions,
    )
    name = "a module that costs 1 s" if module == "heavy" else module
    return [
        Row(f"{tests} tests in 10 files that import {name}, {SLOTS} at a time",
            "--pack --isolation test", times["test"],
            f"python -m pytest NODEID ({sample} measured)", times["fresh"], at_least=20)
    ]  # fmt: skip


def real(name: str, cache: Path, repetitions: int) -> list[Row]:
    """The rows about a published suite as it is; all sides must end its tests alike."""
    suite = next(suite for suite in real_suites.SUITES if suite.name == name)
    archive = real_suites.fetch(suite, cache)
    python = real_suites.install(suite, archive, cache)
    sources = real_suites.unpack(archive, cache, suite)
    plain = real_suites.run(python, sources, suite, real_suites.PLAIN, cache)

    def timed(way: str) -> float:
        run = real_suites.run(python, sources, suite, way, cache)
        if unlike := real_suites.differences(plain, run):
            sys.exit(f"{name}, {way}: not as plain pytest ends it: {unlike[0]}")
        return run.seconds

    times = interleave(
        {way: partial(timed, way) for way in ("test", "worker", real_suites.XDIST)}, repetitions
    )
    what = f"{name} {suite.version}, its {len(plain.ended)} tests, {SLOTS} at a time"
    xdist = (f"pytest -n {SLOTS}", times[real_suites.XDIST])
    return [
        Row(f"{what}: long-lived workers", "--pack --isolation worker", times["worker"],
            *xdist, at_most=1.0),
        Row(f"{what}: a process per test", "--pack --isolation test", times["test"], *xdist),
    ]  # fmt: skip


def main() -> None:
    """Run all comparisons and print their rows."""
    chosen = options(__doc__.splitlines()[0])
    tests, sample, repetitions = (200, 8, 1) if chosen.quick else (1000, 40, 5)
    module = "torch" if importlib.util.find_spec("torch") else "heavy"
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as scratch:
        rows = [
            *trivial(Path(scratch, "trivial"), tests, sample, repetitions),
            *heavy(Path(scratch, "heavy"), module, tests, sample, repetitions),
            *real(REAL_SUITE, real_suites.DEFAULT_CACHE.resolve(), repetitions),
        ]
        if importlib.util.find_spec("pytest_isolate"):
            rows += other_isolation(Path(scratch, "other"), tests, repetitions)
    report(rows, {"slots": SLOTS, "tests": tests, "heavy_module": module}, chosen.json)


if __name__ == "__main__":
    main()
