"""A process and everything under it: dying with the parent, finding descendants, ending them.

A test process is a session leader and a *subreaper*: whatever it starts, and whatever that starts,
stays below it even when it daemonises or changes session. When it dies, what is left moves up to
the zygote, also a subreaper, and is ended there. Only processes under an attempt are signalled.
Linux; elsewhere the tree is what psutil sees by parent, imported only there: this module is part
of every test process, and those are kept free of whatever a suite does not import itself.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int, sig: int = signal.SIGKILL) -> None:
    """Have the kernel send `sig` to this process when its parent dies; 0 takes it back.

    `parent` is the parent's pid as it knew it: if it died before we asked, we exit at once.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0)
    if sig and os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def prefer_for_oom_kill() -> None:
    """Let the kernel's out-of-memory killer take this process before the one that watches it."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return  # not Linux; nothing depends on it
    try:
        os.write(fd, b"500")
    except OSError:
        pass  # a sandbox that forbids it
    finally:
        os.close(fd)


def children_of(pid: int) -> tuple[int, ...]:
    """Pids of the direct children, zombies included; empty when the process is gone."""
    found: list[int] = []
    tasks = f"/proc/{pid}/task"
    try:  # twice at the end of every test process: no pathlib
        for task in os.listdir(tasks):  # noqa: PTH208
            with open(f"{tasks}/{task}/children", "rb") as file:  # noqa: PTH123
                found.extend(map(int, file.read().split()))
    except OSError:
        if sys.platform != "linux":
            import psutil

            try:
                return tuple(child.pid for child in psutil.Process(pid).children())
            except psutil.Error:
                return ()
    return tuple(found)


def descendants_of(pid: int) -> tuple[int, ...]:
    """Pids of every process below `pid`, nearest first."""
    found: list[int] = []
    level: Iterable[int] = (pid,)
    while level := [child for parent in level for child in children_of(parent)]:
        found.extend(level)
    return tuple(found)


def describe(pid: int) -> str:
    """`pid 812 (python server.py)`, for people."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        command = b" ".join(words).decode(errors="replace")
        command = " ".join(command.split()) or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"pid {pid}"
    return f"pid {pid} ({command[:80]})"


def end_marked(run_id: str) -> None:
    """Kill every process that carries this run's mark in its environment.

    For what is no longer below any process of ours, after the zygote itself was killed. Whatever
    a test starts inherits the mark.
    """
    mark = f"TONNAGE_RUN={run_id}".encode()
    marked = [pid for pid in _all_pids() if pid != os.getpid() and mark in _environment_of(pid)]
    signal_all(marked, signal.SIGKILL)


def _all_pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []  # no Linux: the tree is all there is


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # gone, or somebody else's


def signal_all(pids: Iterable[int], sig: int) -> None:
    """Send `sig` to each; those already gone are passed over."""
    for pid in pids:
        try:
            os.kill(pid, sig)
        except (ProcessLookupError, PermissionError):
            continue


def reap(pid: int, limit_s: float) -> None:
    """Wait for a killed child to be gone, so that it leaves no zombie.

    Bounded: a process stuck in a driver call ends when the driver lets go of it.
    """
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.001)


def signal_name(number: int) -> str:
    """`11` -> `SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
