"""The journal of one run: a file of JSON lines that is only ever appended to.

    first line    what the run is: RunInfo
    then          one event a line, as record.codec writes it
    last line     what it came to: Totals; it is missing when the run was cut off

Its writer keeps a lock on the file for as long as it lives, so that a run which goes on can be told
from one that was killed, also between containers. A reader goes as far as the file can be
understood and says where that ends.
"""

import errno
import fcntl
import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tonnage.errors import RecordError
from tonnage.record.codec import Unknown, event_of, from_data, line_of, to_data
from tonnage.record.events import Event
from tonnage.record.totals import Totals, totals_of
from tonnage.units import plural

SCHEMA = 1
JOURNAL = "journal.jsonl"
_FULLEST = 256 * 1024  # characters that wait to be written, at most
_END_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run is. `arguments` are pytest's, without what looks like a secret.

    `directory` is where it was started, `parent` the run that it finishes or repeats.
    """

    run: str
    started_s: float
    rootdir: str
    directory: str
    arguments: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    parent: str | None = None
    pid: int = 0
    host: str = ""


class JournalWriter:
    """Writes one journal. Every method raises OSError; what was written before stays readable."""

    def __init__(self, directory: Path, info: RunInfo) -> None:
        """Begin the journal in a run's directory."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(directory / JOURNAL, flags, 0o600)
        self._waiting: list[str] = []
        self._size = 0  # of all that is written
        self._length = 0  # of what waits
        try:
            _lock(self._fd)
            self._add(json.dumps({"schema": SCHEMA, **to_data(info)}) + "\n")
            self.flush()
        except OSError:
            os.close(self._fd)
            raise

    def add(self, event: Event) -> None:
        """Take an event; it is in the file after the next `flush`."""
        self._add(line_of(event))

    def _add(self, line: str) -> None:
        self._waiting.append(line)
        self._length += len(line)
        if self._length > _FULLEST:
            self.flush()

    def flush(self) -> None:
        """Write what waits, in one piece."""
        if not self._waiting:
            return
        data = "".join(self._waiting).encode("ascii")
        self._waiting.clear()
        self._length = 0
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            # Half a line would be damage; a shorter file is a shorter record.
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += written

    def finish(self, totals: Totals) -> None:
        """Write the last line. Raises OSError also when the file has been removed meanwhile."""
        self._add(json.dumps({"totals": to_data(totals)}) + "\n")
        self.flush()
        if os.fstat(self._fd).st_nlink == 0:
            raise OSError(errno.ENOENT, "it was removed while the run went on")

    def close(self) -> None:
        """Let go of the file. Doing so twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


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


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # not every file system has locks; `is_being_written` then asks for the process


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
