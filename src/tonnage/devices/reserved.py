"""One run's file of reservations: what stands in it, and whether it is to be believed.

A file is believed only about what its owner could claim anyway; symbolic links, other kinds of
file, too long ones and garbage are not.
"""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tonnage.devices.liveness import process_start

SUFFIX = ".run"
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_FORMAT = 1
_LONGEST_FILE = 64 * 1024
_MOST_MIB = 1 << 32


@dataclass(frozen=True, slots=True)
class Reserved:
    """One run's hold on one card, in MiB. `used_mib`: what its processes were last seen to have
    taken of it; None when that cannot be told.
    """

    reserved_mib: int
    used_mib: int | None = None

    @property
    def unused_mib(self) -> int:
        """What is reserved and not yet seen in use."""
        return 0 if self.used_mib is None else max(0, self.reserved_mib - self.used_mib)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another run. `within`: ids of the runs inside whose tests it was started."""

    run: str
    pid: int
    user: int
    within: tuple[str, ...] = ()
    cards: Mapping[str, Reserved] = field(default_factory=dict)


def encode(run: str, within: Sequence[str], cards: Mapping[str, Reserved]) -> bytes:
    """What this process's run writes: who it is, and what it has reserved by card."""
    content = {
        "format": _FORMAT,
        "run": run,
        "pid": os.getpid(),
        "started": process_start(os.getpid()) or 0,
        "pid_namespace": _pid_namespace(),
        "within": within,
        "cards": {card: [r.reserved_mib, r.used_mib] for card, r in cards.items()},
    }
    return json.dumps(content).encode()


def read(directory: int, name: str) -> Neighbour | None:
    """The run of a file in an open directory; None when it has ended.

    The file of one that has ended is removed, if we may. Raises OSError, and ValueError or
    its like for what is not to be believed.
    """
    try:
        descriptor = os.open(name, READ, dir_fd=directory)
    except FileNotFoundError:
        return None  # its run has just ended
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise ValueError("is no plain file")
        if not _is_locked(descriptor):
            with contextlib.suppress(OSError):  # another user's
                os.unlink(name, dir_fd=directory)
            return None
        if status.st_size > _LONGEST_FILE:
            raise ValueError(f"has {status.st_size} bytes")
        data = json.loads(os.pread(descriptor, _LONGEST_FILE, 0))
        if data["format"] != _FORMAT:
            raise ValueError(f"has format {data['format']!r}")
        if not _lives(data["pid"], data["started"], data["pid_namespace"]):
            return None
        return Neighbour(
            run=str(data["run"]),
            pid=int(data["pid"]),
            user=status.st_uid,
            within=tuple(map(str, data["within"])),
            cards={str(card): _reserved(*held) for card, held in data["cards"].items()},
        )
    finally:
        os.close(descriptor)


def total(neighbours: Sequence[Neighbour]) -> tuple[dict[str, int], dict[str, int]]:
    """What they have reserved together, and how much of that is not in use yet; MiB by card."""
    reserved: dict[str, int] = {}
    unused: dict[str, int] = {}
    for neighbour in neighbours:
        for card, held in neighbour.cards.items():
            reserved[card] = reserved.get(card, 0) + held.reserved_mib
            unused[card] = unused.get(card, 0) + held.unused_mib
    return reserved, unused


def _reserved(reserved_mib: object, used_mib: object) -> Reserved:
    for figure in (reserved_mib, used_mib or 0):
        if not isinstance(figure, int) or not 0 <= figure <= _MOST_MIB:
            raise ValueError(f"holds {figure!r} for a number of MiB")
    assert isinstance(reserved_mib, int)
    return Reserved(reserved_mib, used_mib if isinstance(used_mib, int) else None)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _lives(pid: int, started: int, namespace: int) -> bool:
    """Whether the run itself lives, and not only a fork of it that inherited its lock."""
    if namespace != _pid_namespace():
        return True  # its pid means nothing here: the lock has to do
    now = process_start(pid)
    if now is not None:
        return now == started
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's, whose /proc entry is hidden from us
    except (ProcessLookupError, OverflowError):
        return False
    return False  # a zombie


def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        return 0
