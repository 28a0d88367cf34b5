"""One control group per run, holding whatever descends from its zygote (cgroup version 2).

Membership is inherited, and neither a double fork nor a new session nor an emptied environment
sheds it; the kernel ends a group as a whole. So nothing of a run outlives it for long, not even
when its controller and its zygote are killed at the same instant: the next run ends what the group
still holds. This needs a group of ours that we may write; elsewhere the mark in the environment has
to do (execute.family).

One group per run and not one per test: to move a process is to wait 5 to 15 ms for the kernel, and
what a test leaves behind moves up to the zygote in any case.
"""

import contextlib
import fcntl
import os
import re
import select
import signal
import time
from pathlib import Path, PurePosixPath

from tonnage.devices.cgroups import lines_of
from tonnage.execute.family import describe, signal_all

_PREFIX = "tonnage-run-"
_KILL = "cgroup.kill"  # since Linux 5.14
# What the kernel may take to end a group; a process stuck in a driver call takes longer.
_END_LIMIT_S = 2.0
_LOOK_AGAIN_MS = 10


class RunCgroup:
    """A run's group. Its maker holds a lock on the directory for as long as it lives."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls, run_id: str, root: Path = Path("/")) -> "RunCgroup | None":
        """Make one below our own group; None where that cannot be. `root`: where /proc is."""
        own = own_directory(root)
        if own is None:
            return None
        path = own / f"{_PREFIX}{run_id}"
        try:
            path.mkdir(0o700)  # nobody else's lock can hold us up
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        # Until it is locked another run may take it for an abandoned one, and remove it: nothing
        # can then enter it, and this run has to do without.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return cls(path, lock)

    def enter(self, pid: int) -> None:
        """Move a process in, before it has started others. Harmless where the kernel refuses."""
        with contextlib.suppress(OSError):
            _write(self.path / "cgroup.procs", str(pid))

    def end(self) -> list[str]:
        """End all processes inside and wait until they are gone; who they were, for people."""
        pids = self._pids()
        found = [describe(pid) for pid in pids]
        deadline_s = time.monotonic() + _END_LIMIT_S
        while pids and time.monotonic() < deadline_s:
            self._kill()
            self._wait_until_empty()
            pids = self._pids()
        return found

    def remove(self) -> list[str]:
        """End what is inside, then remove it with the groups that tests have made below it.

        Who was ended. What the kernel does not let go of yet is left to the next run.
        """
        found = self.end()
        for directory in reversed(self._directories()):
            with contextlib.suppress(OSError):
                directory.rmdir()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return found

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            _write(self.path / _KILL, "1")
            return
        # An older kernel. Held still first: a group that goes on forking would outpace us.
        with contextlib.suppress(OSError):
            _write(self.path / "cgroup.freeze", "1")
        signal_all(self._pids(), signal.SIGKILL)
        with contextlib.suppress(OSError):
            _write(self.path / "cgroup.freeze", "0")

    def _wait_until_empty(self) -> None:
        """Return when the kernel says so, or after a moment."""
        with contextlib.suppress(OSError), (self.path / "cgroup.events").open("rb") as events:
            if b"populated 1" in events.read():
                poll = select.poll()
                poll.register(events, select.POLLPRI)
                poll.poll(_LOOK_AGAIN_MS)

    def _pids(self) -> list[int]:
        return [
            int(line)
            for directory in self._directories()
            for line in lines_of(directory / "cgroup.procs")
            if line != "0"  # a process that cannot be named here
        ]

    def _directories(self) -> list[Path]:
        """The group's own and those below, parents first."""
        return [Path(directory) for directory, _, _ in os.walk(self.path)]


def end_abandoned(root: Path = Path("/")) -> list[str]:
    """End what runs that were killed have left in groups beside ours, for people: who that was."""
    own = own_directory(root)
    found: list[str] = []
    for path in () if own is None else own.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or just being removed
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)  # its run lives
                continue
            found += RunCgroup(path, lock).remove()
    return found


def leave_and_remove(run_id: str, root: Path = Path("/")) -> None:
    """In the last process of a run's group: step out of it and remove it."""
    own = own_directory(root)
    if own is not None and own.name == f"{_PREFIX}{run_id}":
        with contextlib.suppress(OSError):
            _write(own.parent / "cgroup.procs", str(os.getpid()))
            RunCgroup(own, -1).remove()


def own_directory(root: Path = Path("/")) -> Path | None:
    """The directory of this process's own group; None where there is none that can be seen."""
    paths = [line[3:] for line in lines_of(root / "proc/self/cgroup") if line.startswith("0::")]
    for line in lines_of(root / "proc/self/mountinfo"):
        where, _, what = line.partition(" - ")
        if paths and what.startswith("cgroup2 "):
            mounted, at = map(_unescaped, where.split()[3:5])
            with contextlib.suppress(ValueError):  # mounted is another part of the hierarchy
                inside = PurePosixPath(paths[0]).relative_to(mounted)
                if ".." not in inside.parts:  # else it is outside of our namespace
                    return root / at.lstrip("/") / inside
    return None


def _unescaped(text: str) -> str:
    """A path of mountinfo, where blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _write(path: Path, text: str) -> None:
    """Write to a file of the kernel's, never making one. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
