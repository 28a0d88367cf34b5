"""The journal of one run: a file of JSON lines that is only ever appended to.

    first line    what the run is: RunInfo
    then          one event a line, as record.codec writes it
    last line     what it came to: Totals; it is missing when the run was cut off

Its writer keeps a lock on the file for as long as it lives, so that a run which goes on can be told
from one that was killed, also between containers.
"""

import errno
import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tonnage.record.codec import line_of, to_data
from tonnage.record.events import Event
from tonnage.record.totals import Totals

SCHEMA = 1
JOURNAL = "journal.jsonl"
_FULLEST = 256 * 1024  # characters that wait to be written, at most


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


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # not every file system has locks; a reader then asks for the process
