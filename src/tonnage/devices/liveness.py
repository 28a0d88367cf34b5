"""Whether processes still live, known by pid and start time so that a recycled pid is not them.

Standard library only, like the ledger that it serves. A zombie counts as dead: its memory has
gone back, whoever its parent is and whenever that one looks.
"""

import os
import select
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """One process, for ever: its start is in clock ticks since boot (0 where there is no /proc)."""

    pid: int
    started: int


class Watch:
    """Tells which of some processes have ended, in one system call however many there are.

    A sampler asks twice per GPU many times a second, and reading /proc each time would cost more
    than everything else it does.
    """

    def __init__(self, processes: Iterable[Process]) -> None:
        self._unwatched: list[Process] = []
        self._watched: dict[int, Process] = {}
        self._ended: set[Process] = set()
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        for process in set(processes):
            self._add(process)

    def ended(self) -> set[Process]:
        """Those that have ended by now."""
        if self._epoll is not None:
            for descriptor, _ in self._epoll.poll(0):
                self._ended.add(self._watched[descriptor])
        for process in self._unwatched:
            if process_start(process.pid) != process.started:
                self._ended.add(process)
        return self._ended

    def __del__(self) -> None:
        for descriptor in self._watched:
            os.close(descriptor)

    def _add(self, process: Process) -> None:
        descriptor = None
        if self._epoll is not None and hasattr(os, "pidfd_open"):
            try:
                descriptor = os.pidfd_open(process.pid)
            except OSError:
                pass  # ended, or a kernel before 5.3
        # Only now is it asked who has the pid: what the descriptor names cannot change any more.
        if process_start(process.pid) != process.started:
            self._ended.add(process)
            if descriptor is not None:
                os.close(descriptor)
        elif descriptor is None or self._epoll is None:
            self._unwatched.append(process)
        else:
            self._watched[descriptor] = process
            self._epoll.register(descriptor, select.EPOLLIN)


def process_start(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is dead or a zombie.

    0 where there is no /proc and the process exists.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_without_proc(pid)
    try:
        text = os.read(descriptor, 4096)
    except OSError:
        return None  # died between opening and reading
    finally:
        os.close(descriptor)
    # The name may hold blanks and brackets; fields are counted from behind it (see proc(5)).
    fields = text[text.rfind(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def _start_without_proc(pid: int) -> int | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0
