"""What the runs on one machine have reserved on its cards: one small file per run, in one place.

Each run keeps a lock on its own file for as long as it lives, so that a killed run's reservations
vanish with it: the kernel drops the lock. Whoever decides what to start holds the lock of the
directory from reading the others' files until its own is written: reserve first, then start, and
one decider at a time.

The directory belongs to nobody in particular (mode 1777), so a file in it is read with suspicion
(devices.reserved).
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tonnage.devices.reserved import READ, SUFFIX, Neighbour, Reserved, encode, read

DIRECTORY_VARIABLE = "TONNAGE_LOCK_DIR"

_NAME = "tonnage-reservations"
_LOCK = "lock"
_MOST_RUNS = 512
# How long to wait for another run that decides just now; it takes a few milliseconds.
_PATIENCE_S = 0.2


class ReservationsError(Exception):
    """The directory cannot be used; the text says why."""


class Busy(Exception):  # noqa: N818 - no error: to be tried again
    """Another run has been deciding for longer than one decision takes."""


def default_directory(environ: Mapping[str, str]) -> Path:
    """Where the runs of this machine meet: the same place for every user."""
    if environ.get(DIRECTORY_VARIABLE):
        return Path(environ[DIRECTORY_VARIABLE])
    locks = Path("/run/lock")
    with contextlib.suppress(OSError):
        if locks.stat().st_mode & 0o1002 == 0o1002:  # anyone may write, nobody remove others' files
            return locks / _NAME
    return Path("/tmp") / _NAME  # noqa: S108 - the place all users share; checked when opened


class Reservations:
    """The directory, opened by one run. Not for use from several threads."""

    def __init__(self, directory: Path, run: str, outer: str | None = None) -> None:
        """Open it, making it if need be. `outer`: the id of the run inside whose test we are.

        Raises ReservationsError when it cannot be used, or not safely.
        """
        self.directory = directory
        self.notices: list[str] = []  # about files passed over, each once
        self._run = run
        self._outer = outer
        self._within: tuple[str, ...] = (outer,) if outer else ()
        self._own = -1
        self._written = b""
        self._noticed: set[str] = set()
        self._directory = _open_directory(directory)
        try:
            self._lock = _open_lock(self._directory)
        except OSError as error:
            os.close(self._directory)
            raise ReservationsError(f"{directory}: {error.strerror}") from error

    @contextlib.contextmanager
    def deciding(self) -> Iterator[tuple[Neighbour, ...]]:
        """Be the machine's only decider, and see what the others have reserved.

        Runs around us and inside our tests are left out: their memory is a test's, and counted
        there. Raises Busy when the turn does not come.
        """
        self._take_turn()
        try:
            others = self._read()
            outer = next((each for each in others if each.run == self._outer), None)
            if outer is not None:
                self._within = (outer.run, *outer.within)
            yield tuple(
                each
                for each in others
                if each.run not in self._within and self._run not in each.within
            )
        finally:
            if self._directory >= 0:  # else closed meanwhile, and the lock with it
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def publish(self, cards: Mapping[str, Reserved]) -> None:
        """Say what we have reserved, by card. Only inside `deciding`. Raises OSError."""
        if self._own < 0 and not cards:
            return
        content = encode(self._run, self._within, cards)
        if self._own >= 0 and not os.fstat(self._own).st_nlink:
            os.close(self._own)  # somebody tidied it away
            self._own, self._written = -1, b""
        if content == self._written:
            return
        if self._own < 0:
            self._own = self._create()
        # In place: readers come in turn, and a writer that is killed is a run that has ended.
        os.pwrite(self._own, content, 0)
        os.ftruncate(self._own, len(content))
        self._written = content

    def close(self) -> None:
        """Take our reservations back. Doing so twice is harmless."""
        if self._own >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._directory)
            os.close(self._own)
            self._own = -1
        if self._directory >= 0:
            os.close(self._lock)
            os.close(self._directory)
            self._directory = -1

    @property
    def _name(self) -> str:
        return f"{self._run}{SUFFIX}"

    def _take_turn(self) -> None:
        end_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end_s:
                    raise Busy from None
                time.sleep(0.002)
            else:
                if os.fstat(self._lock).st_nlink:
                    return
                # Somebody tidied up: whoever comes next makes a new one, and so do we.
                stale, self._lock = self._lock, _open_lock(self._directory)
                os.close(stale)

    def _create(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        own = os.open(self._name, flags, 0o644, dir_fd=self._directory)
        os.fchmod(own, 0o644)  # whatever the umask: the others must be able to read it
        fcntl.flock(own, fcntl.LOCK_EX)
        return own

    def _read(self) -> tuple[Neighbour, ...]:
        found = []
        names = sorted(name for name in os.listdir(self._directory) if name.endswith(SUFFIX))  # noqa: PTH208
        for name in names[:_MOST_RUNS]:
            if name == self._name:
                continue
            try:
                neighbour = read(self._directory, name)
            except (
                OSError,
                ValueError,
                TypeError,
                KeyError,
                AttributeError,
                RecursionError,
            ) as why:
                self._notice(name, why)
            else:
                if neighbour is not None:
                    found.append(neighbour)
        return tuple(found)

    def _notice(self, name: str, why: Exception) -> None:
        if name not in self._noticed:
            self._noticed.add(name)
            reason = why.strerror if isinstance(why, OSError) else str(why)
            self.notices.append(f"{self.directory / name} is passed over: {reason}")


def _open_directory(path: Path) -> int:
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            path.chmod(0o1777)  # mkdir's own mode would be cut by the umask
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ReservationsError(f"{path}: {error.strerror}") from error
    mode = os.fstat(descriptor).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        os.close(descriptor)
        raise ReservationsError(f"{path} lets anyone remove others' files (no sticky bit)")
    if not os.access(path, os.W_OK):
        os.close(descriptor)
        raise ReservationsError(f"{path} cannot be written")
    return descriptor


def _open_lock(directory: int) -> int:
    # Opened without O_CREAT if it is there: in a sticky directory the kernel refuses that for
    # another user's file (fs.protected_regular). Reading is enough for a lock.
    try:
        return os.open(_LOCK, READ, dir_fd=directory)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            made = os.open(_LOCK, flags, 0o644, dir_fd=directory)
            os.fchmod(made, 0o644)
            os.close(made)
        return os.open(_LOCK, READ, dir_fd=directory)
