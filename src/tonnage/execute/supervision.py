"""The zygote's loop: starts test processes, notices their end, ends them and what they left.

Every test process is a direct child, so its pid cannot be reused before we have seen it end, and
everything it started is below it (execute.family).
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tonnage.execute import messages
from tonnage.execute.child import DUMP_SIGNAL
from tonnage.execute.family import children_of, descendants_of, describe, reap, signal_all
from tonnage.execute.frames import FrameSocket

# Between asking a process for its stacks and ending it: the time it takes to write them.
_DUMP_TIME_S = 0.2
# A family that forks while it is being ended is hunted this many rounds; each kills all it sees.
_SWEEP_ROUNDS = 50
_REAP_LIMIT_S = 2.0


@dataclass(slots=True)
class _Leader:
    """One test process. Times are monotonic seconds; None: not being ended."""

    unit: int
    pid: int
    term_at_s: float | None = None
    kill_at_s: float | None = None


class Supervisor:
    """Serves the controller until it says that the session ends, or is gone.

    `start` makes the process (its socket arrives as the second argument) and returns its pid in
    the zygote; in the process itself it never returns.
    """

    def __init__(
        self,
        channel: FrameSocket,
        start: Callable[[messages.StartProcess, int], int],
    ) -> None:
        self._channel = channel
        self._start = start
        self._leaders: dict[int, _Leader] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> messages.EndSession | None:
        """Work until the session ends; None when the controller is gone. Nothing stays running."""
        before = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._channel.sock, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        try:
            while True:
                for fd, _ in poll.poll(self._wait_ms()):
                    if fd == self._wake_read:
                        _drain(fd)
                        self._reap()
                        continue
                    values, closed = self._channel.receive_with_fds()
                    for value in values:
                        message = messages.from_json(value)
                        if isinstance(message, messages.EndSession):
                            return message
                        self._obey(message)
                    if closed:
                        return None
                self._press()
        finally:
            self._end_all()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)

    def leave(self) -> None:
        """In a new process: give up everything that belongs to the loop."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._channel.close()

    def _obey(self, message: messages.Message) -> None:
        if isinstance(message, messages.StartProcess):
            fd = self._channel.fds.popleft()
            try:
                pid = self._start(message, fd)
            except OSError as error:
                problem = f"no process could be started: {error.strerror}"
                self._send(messages.ProcessEnded(message.unit, 1 << 8, [], problem))
            else:
                self._leaders[pid] = _Leader(message.unit, pid)
                self._send(messages.ProcessStarted(message.unit, pid))
            finally:
                os.close(fd)
        elif isinstance(message, messages.EndProcess):
            for leader in self._leaders.values():
                if leader.unit == message.unit:
                    self._begin_ending(leader, message.grace_s)

    def _begin_ending(self, leader: _Leader, grace_s: float) -> None:
        now_s = time.monotonic()
        if grace_s > 0 and leader.kill_at_s is None:
            signal_all((leader.pid,), DUMP_SIGNAL)
            leader.term_at_s = now_s + _DUMP_TIME_S
        leader.kill_at_s = now_s + grace_s

    def _press(self) -> None:
        """Carry on with the endings that are under way."""
        now_s = time.monotonic()
        for leader in self._leaders.values():
            if leader.kill_at_s is not None and now_s >= leader.kill_at_s:
                signal_all((leader.pid, *descendants_of(leader.pid)), signal.SIGKILL)
                leader.kill_at_s = now_s + _DUMP_TIME_S  # once more, should it still be there
            elif leader.term_at_s is not None and now_s >= leader.term_at_s:
                signal_all((leader.pid, *descendants_of(leader.pid)), signal.SIGTERM)
                leader.term_at_s = None

    def _wait_ms(self) -> int | None:
        times = [
            at_s
            for leader in self._leaders.values()
            for at_s in (leader.term_at_s, leader.kill_at_s)
            if at_s is not None
        ]
        return max(0, int((min(times) - time.monotonic()) * 1000) + 1) if times else None

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            leader = self._leaders.pop(pid, None)
            if leader is not None:
                self._send(messages.ProcessEnded(leader.unit, status, self._sweep()))

    def _sweep(self) -> list[str]:
        """End what moved up to us from processes that are gone; who it was, for the report."""
        found: dict[int, str] = {}
        for _ in range(_SWEEP_ROUNDS):
            orphans = [pid for pid in children_of(os.getpid()) if pid not in self._leaders]
            if not orphans:
                break
            family = [*orphans, *(below for pid in orphans for below in descendants_of(pid))]
            for pid in family:
                if pid not in found and not _is_zombie(pid):
                    found[pid] = describe(pid)
            signal_all(family, signal.SIGKILL)
            for pid in orphans:
                reap(pid, _REAP_LIMIT_S)
        return list(found.values())

    def _end_all(self) -> None:
        for pid in tuple(self._leaders):
            signal_all((pid, *descendants_of(pid)), signal.SIGKILL)
            reap(pid, _REAP_LIMIT_S)
        self._leaders.clear()
        self._sweep()

    def _send(self, message: messages.Message) -> None:
        try:
            self._channel.send(messages.to_json(message))
        except OSError:
            return  # the controller is gone; the next read says so


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return sys.platform == "linux"
    return stat.rpartition(b")")[2].split()[0] == b"Z"
