"""`.tonnage/measured.json`: what runs have measured of each test, ready for the next run.

It is derived from the journals. Deleted, damaged or of another version, it is made again from those
that there are.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tonnage.errors import RecordError
from tonnage.record.events import Event
from tonnage.record.measured import Measured, measured_by
from tonnage.record.reading import is_being_written, read_journal
from tonnage.record.store import HOME, MEASURED, run_directories, write_whole

_LOCK = "measured.lock"
_SCHEMA = 1


def load_measured(root: Path) -> dict[str, Measured]:
    """What is known of each test under `root`, by node id."""
    known = _read(root / HOME / MEASURED)
    return _from_journals(root / HOME) if known is None else known


def add_measured(root: Path, run_id: str, events: Sequence[Event]) -> None:
    """Take in a run that has just ended. Runs that end together wait for each other.

    Raises OSError when it cannot be written.
    """
    home = root / HOME
    with _locked(home / _LOCK):
        known = _read(home / MEASURED)
        if known is None:
            known = _from_journals(home, without=run_id)
        _write(home / MEASURED, measured_by(known, events))


def _read(path: Path) -> dict[str, Measured] | None:
    try:
        data = json.loads(path.read_text(encoding="ascii"))
        if data["schema"] != _SCHEMA:
            return None
        return {name: _measured(each) for name, each in data["tests"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _measured(data: Any) -> Measured:
    durations_s, peaks_mib, seen_s = data
    return Measured(
        tuple(map(float, durations_s)),
        {kind: tuple(map(int, peaks)) for kind, peaks in peaks_mib.items()},
        float(seen_s),
    )


def _write(path: Path, known: Mapping[str, Measured]) -> None:
    tests = {name: [each.durations_s, each.peaks_mib, each.seen_s] for name, each in known.items()}
    write_whole(path, json.dumps({"schema": _SCHEMA, "tests": tests}, separators=(",", ":")))


def _from_journals(home: Path, without: str | None = None) -> dict[str, Measured]:
    known: dict[str, Measured] = {}
    for directory in reversed(run_directories(home)):
        if directory.name == without or is_being_written(directory):
            continue
        try:
            known = measured_by(known, read_journal(directory).events)
        except RecordError:
            continue
    return known


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
