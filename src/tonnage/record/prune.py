"""Removing runs that are too old, too many or too large: a plan first, then the deed.

The newest run and every run that goes on are always kept.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tonnage.record.journal import JOURNAL
from tonnage.record.reading import is_being_written
from tonnage.record.store import HOME, run_directories

_DAY_S = 86400
# A directory without a journal may belong to a run that begins at this moment.
_BEGINNING_S = 3600


@dataclass(frozen=True, slots=True)
class Keep:
    """What to keep: runs of the last `days`, at most `runs` of them and `size_mib` together."""

    days: float
    runs: int
    size_mib: float


# What every packed run leaves behind it.
KEEP = Keep(days=30, runs=100, size_mib=512)


@dataclass(frozen=True, slots=True)
class Stored:
    """One run as its files are: when they last changed (epoch), and their size."""

    directory: Path
    changed_s: float
    size_bytes: int
    has_journal: bool


def doomed(stored: Sequence[Stored], keep: Keep, now_s: float) -> list[Stored]:
    """Which of the runs, given newest first, to remove. Pure. The first is never among them."""
    going = []
    kept = size_bytes = 0
    for index, run in enumerate(stored):
        age_s = now_s - run.changed_s
        size_bytes += run.size_bytes
        is_over = (
            age_s > keep.days * _DAY_S
            or kept >= keep.runs
            or size_bytes > keep.size_mib * 1024 * 1024
        )
        if not run.has_journal:
            is_over = age_s > _BEGINNING_S
        if index and is_over:
            going.append(run)
            size_bytes -= run.size_bytes
        else:
            kept += 1
    return going


def prune(root: Path, keep: Keep, *, sparing: str | None = None) -> list[str]:
    """Remove runs recorded under `root`; the ids of those removed. Raises OSError.

    `sparing` is the id of a run that stays, beside those that go on.
    """
    stored = [
        each
        for directory in run_directories(root / HOME)
        if (each := _stored(directory)) is not None
    ]
    removed = []
    for run in doomed(stored, keep, time.time()):
        directory = run.directory
        if directory.name == sparing or is_being_written(directory):
            continue
        # Its journal goes first: another process that looks sees a run or none, never a half.
        (directory / JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        removed.append(directory.name)
    return removed


def _stored(directory: Path) -> Stored | None:
    try:
        status = (directory / JOURNAL).stat()
    except OSError:
        try:
            return Stored(directory, directory.stat().st_mtime, 0, has_journal=False)
        except OSError:
            return None  # removed meanwhile
    return Stored(directory, status.st_mtime, status.st_size, has_journal=True)
