"""Reading a journal: as far as it can be understood, saying where that ends."""

import fcntl
import json
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tonnage.errors import RecordError
from tonnage.record.codec import Unknown, event_of, from_data
from tonnage.record.events import Event
from tonnage.record.journal import JOURNAL, SCHEMA, RunInfo
from tonnage.record.totals import Totals, totals_of
from tonnage.units import plural

_END_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a journal stops being readable. `line` counts from 1; `offset_bytes` is its start."""

    line: int
    offset_bytes: int
    reason: str
    events: int

    def __str__(self) -> str:
        return (
            f"the journal is damaged at line {self.line} (byte {self.offset_bytes}): "
            f"{self.reason}; read up to there: {plural(self.events, 'event')}"
        )


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal as read. `unknown` counts what a newer version wrote and this one passes over."""

    info: RunInfo
    schema: int
    events: tuple[Event, ...]
    totals: Totals
    is_closed: bool  # whether the run wrote its last line
    damage: Damage | None = None
    unknown: Unknown = field(default_factory=Unknown)

    def remarks(self) -> list[str]:
        """What a reader should know about how much of the run this is."""
        said = [] if self.damage is None else [str(self.damage)]
        if self.schema > SCHEMA or self.unknown.events or self.unknown.fields:
            events, fields = self.unknown.events, self.unknown.fields
            said.append(
                "a newer version of Tonnage wrote this journal: "
                f"{plural(events, 'event')} and {plural(fields, 'field')} "
                "that this one does not know are left out"
            )
        return said


def read_journal(directory: Path) -> Journal:
    """The journal of a run, up to its end or its first damage.

    Raises RecordError when there is none or not even its first line can be read.
    """
    path = directory / JOURNAL
    is_growing = is_being_written(directory)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=str(path)) from error
    rest = lines.pop()  # b"" when the last line is whole
    unknown = Unknown()
    info, schema = _first_line(lines[0] if lines else rest, path, unknown)
    events: list[Event] = []
    totals: Totals | None = None
    damage: Damage | None = None
    offset = len(lines[0]) + 1 if lines else 0
    for number, line in enumerate(lines[1:], 2):
        try:
            data = json.loads(line)
            if isinstance(data, dict) and "totals" in data:
                totals = from_data(Totals, data["totals"], unknown)
                continue
            event = event_of(data, unknown)
        except ValueError:
            damage = Damage(number, offset, "this is no event", len(events))
            break
        if event is not None:
            events.append(event)
        offset += len(line) + 1
    if rest and damage is None and not is_growing:
        reason = "the line is cut off"
        damage = Damage(len(lines) + 1, offset, reason, len(events))
    return Journal(
        info,
        schema,
        tuple(events),
        totals or totals_of(events),
        totals is not None,
        damage,
        unknown,
    )


def read_ends(directory: Path) -> tuple[RunInfo, Totals | None]:
    """A journal's first and last line, without what is between; no Totals: look between.

    Raises RecordError as `read_journal` does.
    """
    path = directory / JOURNAL
    unknown = Unknown()
    try:
        with path.open("rb") as file:
            first = file.readline()
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END_BYTES))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=str(path)) from error
    info, _ = _first_line(first, path, unknown)
    try:
        return info, from_data(Totals, json.loads(last)["totals"], unknown)
    except (ValueError, KeyError, TypeError):
        return info, None


def is_being_written(directory: Path) -> bool:
    """Whether the run that writes this journal is alive."""
    try:
        fd = os.open(directory / JOURNAL, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks on this file system: the process itself is all that can be asked
        return _lives_here(directory)
    else:
        return False
    finally:
        os.close(fd)


def _lives_here(directory: Path) -> bool:
    try:
        info, _ = read_ends(directory)
        if info.host != socket.gethostname():
            return False
        os.kill(info.pid, 0)
    except PermissionError:
        return True
    except (RecordError, OSError):
        return False
    return True


def _first_line(line: bytes, path: Path, unknown: Unknown) -> tuple[RunInfo, int]:
    try:
        data: Any = json.loads(line)
        schema = data.pop("schema")
        info = from_data(RunInfo, data, unknown)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecordError(
            "its first line does not say what run this is",
            where=str(path),
            remedy="The journal is damaged from its beginning and cannot be used.",
        ) from None
    return info, schema
