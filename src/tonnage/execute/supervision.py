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
from tonnage.execute.family import children_of, descendants_of, describe, reap, signal_all
from tonnage.execute.frames import FrameSocket
from tonnage.execute.keeper import is_keeper
from tonnage.execute.stack_dumps import dump_stacks

# A family that is being killed and forks on is hunted this often.
_KILL_AGAIN_S = 0.2
# A family that forks while it is being swept is hunted this many rounds; each kills all it sees.
_SWEEP_ROUNDS = 50
_REAP_LIMIT_S = 2.0
# What the fixtures of a crashed process may take to be torn down.
_KEEPER_LIMIT_S = 10.0


@dataclass(slots=True)
class _Leader:
    """One test process. Times are monotonic seconds; None: not being ended.

    `dumper` writes its stacks down, before it is told to end. `keeper` tears its fixtures down,
    after it has ended with `wait_status`.
    """

    start: messages.StartProcess
    pid: int
    kill_at_s: float | None = None
    dumper: int | None = None
    keeper: int | None = None
    wait_status: int = 0


class Supervisor:
    """Serves the controller until it says that the session ends, or is gone.

    `start` makes the process (its socket arrives as the second argument) and returns its pid in
    the zygote; in the process itself it never returns. `stacks_of` names the file for its stacks.
    """

    def __init__(
        self,
        channel: FrameSocket,
        start: Callable[[messages.StartProcess, int], int],
        stacks_of: Callable[[messages.StartProcess], str],
    ) -> None:
        self._channel = channel
        self._start = start
        self._stacks_of = stacks_of
        self._leaders: dict[int, _Leader] = {}
        self._dumpers: dict[int, _Leader] = {}
        self._kept: dict[int, _Leader] = {}  # ended, by the keeper that holds its fixtures
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
                self._leaders[pid] = _Leader(message, pid)
            finally:
                os.close(fd)
        elif isinstance(message, messages.EndProcess):
            for leader in self._leaders.values():
                if leader.start.unit == message.unit:
                    self._begin_ending(leader, message.grace_s)

    # -------------------------------------------------------------- ending a process tree

    def _begin_ending(self, leader: _Leader, grace_s: float) -> None:
        if grace_s > 0 and leader.kill_at_s is None:
            self._ask_for_stacks(leader)
        leader.kill_at_s = time.monotonic() + grace_s

    def _ask_for_stacks(self, leader: _Leader) -> None:
        """Have a child of ours write the stacks down: this loop must not wait for them."""
        below = _ordinary(descendants_of(leader.pid))
        try:
            dumper = os.fork()
        except OSError:
            signal_all((leader.pid, *below), signal.SIGTERM)
            return
        if dumper == 0:
            try:
                self.leave()
                dump_stacks(leader.pid, below, self._stacks_of(leader.start))
            finally:
                os._exit(0)
        leader.dumper = dumper
        self._dumpers[dumper] = leader

    def _press(self) -> None:
        """Carry on with the endings that are under way."""
        now_s = time.monotonic()
        for leader in self._leaders.values():
            if leader.kill_at_s is not None and now_s >= leader.kill_at_s:
                family = (leader.pid, *_ordinary(descendants_of(leader.pid)))
                signal_all(family, signal.SIGKILL)
                leader.kill_at_s = now_s + _KILL_AGAIN_S
        for keeper, leader in self._kept.items():
            if leader.kill_at_s is not None and now_s >= leader.kill_at_s:
                signal_all((keeper, *descendants_of(keeper)), signal.SIGKILL)
                leader.kill_at_s = now_s + _KILL_AGAIN_S

    def _wait_ms(self) -> int | None:
        endings = (*self._leaders.values(), *self._kept.values())
        times = [leader.kill_at_s for leader in endings if leader.kill_at_s is not None]
        return max(0, int((min(times) - time.monotonic()) * 1000) + 1) if times else None

    # -------------------------------------------------------------- after its end

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._leaders:
                self._leader_ended(self._leaders.pop(pid), status)
            elif pid in self._kept:
                self._over(self._kept.pop(pid), torn_down=status == 0)
            elif pid in self._dumpers:
                leader = self._dumpers.pop(pid)
                leader.dumper = None
                if leader.pid in self._leaders:
                    family = (leader.pid, *_ordinary(descendants_of(leader.pid)))
                    signal_all(family, signal.SIGTERM)

    def _leader_ended(self, leader: _Leader, status: int) -> None:
        leader.wait_status = status
        if leader.dumper is not None:
            signal_all((leader.dumper,), signal.SIGKILL)
        leader.keeper = next(filter(is_keeper, self._orphans()), None)
        if leader.keeper is None:
            self._over(leader, torn_down=None)
        else:
            leader.kill_at_s = time.monotonic() + _KEEPER_LIMIT_S
            self._kept[leader.keeper] = leader

    def _over(self, leader: _Leader, *, torn_down: bool | None) -> None:
        self._send(
            messages.ProcessEnded(
                leader.start.unit, leader.wait_status, self._sweep(), fixtures_torn_down=torn_down
            )
        )

    def _orphans(self) -> list[int]:
        """What moved up to us from processes that are gone, keepers at work apart."""
        known = self._leaders.keys() | self._kept.keys() | self._dumpers.keys()
        return [pid for pid in children_of(os.getpid()) if pid not in known]

    def _sweep(self) -> list[str]:
        """End what moved up to us from processes that are gone; who it was, for the report.

        Not while a keeper works: what its fixtures started is what they are about to stop.
        """
        found: dict[int, str] = {}
        for _ in range(_SWEEP_ROUNDS):
            if self._kept or not (orphans := self._orphans()):
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
        for pid in (*self._leaders, *self._kept, *self._dumpers):
            signal_all((pid, *descendants_of(pid)), signal.SIGKILL)
            reap(pid, _REAP_LIMIT_S)
        self._leaders.clear()
        self._kept.clear()
        self._dumpers.clear()
        self._sweep()

    def _send(self, message: messages.Message) -> None:
        try:
            self._channel.send(messages.to_json(message))
        except OSError:
            return  # the controller is gone; the next read says so


def _ordinary(pids: tuple[int, ...]) -> tuple[int, ...]:
    """The processes that a test has started itself: a keeper is not among them."""
    return tuple(pid for pid in pids if not is_keeper(pid))


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
