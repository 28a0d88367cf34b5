"""What the benchmarks that time whole pytest runs share: sides, interleaved, and their ratio."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Row:
    """One comparison: the seconds of each repetition on both sides, and the goal for their ratio.

    `at_most` bounds ours / theirs; `at_least` bounds theirs / ours, "so many times faster".
    """

    what: str
    ours: str
    ours_s: Sequence[float]
    theirs: str
    theirs_s: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def ratio(self) -> float:
        """Median of the ratios of runs made side by side, in the direction of the goal.

        A machine that becomes slower slows both runs of a pair, so this varies less than the
        ratio of the medians.
        """
        ratio = statistics.median(
            ours / theirs for ours, theirs in zip(self.ours_s, self.theirs_s, strict=True)
        )
        return ratio if self.at_least is None else 1 / ratio

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return self.at_most is None or self.ratio <= self.at_most

    def lines(self) -> list[str]:
        """The row as it is printed."""
        verdict = "for scale"
        if self.at_least is not None or self.at_most is not None:
            goal = f"<= {self.at_most:g}" if self.at_least is None else f">= {self.at_least:g}"
            verdict = f"goal {goal}   {'met' if self.is_met else 'NOT MET'}"
        return [
            self.what,
            f"  {self.ours:<44}{statistics.median(self.ours_s):9.3f} s   {spread(self.ours_s)}",
            f"  {self.theirs:<44}{statistics.median(self.theirs_s):9.3f} s   "
            f"{spread(self.theirs_s)}",
            f"  ratio {self.ratio:.3f}   {verdict}",
        ]

    def as_json(self) -> dict[str, object]:
        """The row for a file, times in seconds."""
        return {**vars(self), "ratio": self.ratio, "is_met": self.is_met}


def spread(seconds: Sequence[float]) -> str:
    """How far the repetitions lie apart."""
    return f"({min(seconds):.3f} to {max(seconds):.3f}, {len(seconds)} runs)"


@dataclass(frozen=True)
class Cost:
    """Seconds that a run took, and seconds that its processes kept CPUs busy."""

    wall_s: float
    cpu_s: float


def interleave(
    sides: Mapping[str, Callable[[], Measured]], repetitions: int
) -> dict[str, list[Measured]]:
    """Measure the sides in turn, every other time backwards, so that drift hits all alike."""
    measured: dict[str, list[Measured]] = {name: [] for name in sides}
    for repetition in range(repetitions):
        for name in list(sides)[:: 1 if repetition % 2 == 0 else -1]:
            measured[name].append(sides[name]())
    return measured


def environment() -> dict[str, str]:
    """What every side is run with: as here, but compiled modules are kept, as they usually are.

    Without them an interpreter compiles all it imports: a side that starts many would lose for a
    reason that is not the one measured.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_pytest(directory: Path, expected: int, *arguments: str) -> Cost:
    """What one whole pytest run costs; it must end with so many tests passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    cpu_s, started = cpu_of_children_s(), time.monotonic()
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    cost = Cost(time.monotonic() - started, cpu_of_children_s() - cpu_s)
    if done.returncode or f"{expected} passed" not in done.stdout:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return cost


def cpu_of_children_s() -> float:
    """CPU seconds of all processes that were started from here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def time_pytest(directory: Path, expected: int, *arguments: str) -> float:
    """Seconds of one whole pytest run that must end with so many tests passed."""
    return run_pytest(directory, expected, *arguments).wall_s


def options(description: str) -> argparse.Namespace:
    """The options every such benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="smaller suites, one repetition")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def report(rows: Sequence[Row], notes: Mapping[str, object], to: Path | None) -> None:
    """Print the rows, and write them with the notes when a file was asked for."""
    for row in rows:
        print("\n".join(row.lines()), flush=True)
    if to is not None:
        figures = {"notes": dict(notes), "rows": [row.as_json() for row in rows]}
        to.write_text(json.dumps(figures, indent=2) + "\n")
