"""The controller's side of its processes: the zygote's life and the sockets of the units.

All waiting of a run happens in `Agent.wait`, in one thread.
"""

import math
import os
import selectors
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage.devices.host_memory import oom_kills
from tonnage.execute import messages
from tonnage.execute.child import Places
from tonnage.execute.family import end_marked, signal_name
from tonnage.execute.frames import FrameSocket
from tonnage.execute.launch import Launched, launch
from tonnage.execute.output import stacks

# What the zygote may take to finish its session once told to; then it is ended.
_SESSION_FINISH_LIMIT_S = 30.0
# A unit without a GPU that lives shorter than this is read once, at its end: every message that
# wakes this thread takes the core from the test that sent it.
_QUIET_S = 0.05


@dataclass(frozen=True, slots=True)
class FromZygote:
    """The zygote said this."""

    message: messages.Message


@dataclass(frozen=True, slots=True)
class FromUnit:
    """A test process said this."""

    unit: int
    message: messages.Message


@dataclass(frozen=True, slots=True)
class ZygoteLost:
    """The zygote's socket closed without a word: it crashed or was killed."""

    how: str


Arrival = FromZygote | FromUnit | ZygoteLost


class Agent:
    """Starts the zygote and its units, talks to them, and leaves nothing behind."""

    def __init__(
        self,
        opening: messages.OpenSession,
        launched: Launched,
        run_id: str,
        *,
        inherit_output: bool,
    ) -> None:
        self._opening = opening
        self._run_id = run_id
        self._launched: Launched | None = launched  # not yet in use
        self._cgroup = launched.cgroup
        self._inherit_output = inherit_output  # with -s tests write to the terminal themselves
        self._selector = selectors.DefaultSelector()
        self._zygote: Launched | None = None
        self._channel: FrameSocket | None = None
        self._units: dict[int, FrameSocket] = {}
        self._quiet: dict[int, float] = {}  # units not yet listened to, until when; in that order
        self._arrived: list[Arrival] = []
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._serving = self._is_finishing = False
        self._said_goodbye = False

    @property
    def wake_fd(self) -> int:
        """Writing a byte here ends a `wait`: for signal handlers and threads."""
        return self._wake_write

    @property
    def log(self) -> Path:
        """Where the zygote's own output goes."""
        return Path(self._opening.run_directory) / "zygote.log"

    def places(self, unit: int, lane: int) -> Places:
        """Where a unit keeps its output, until another one takes its lane."""
        return Places.of(self._opening, unit, lane)

    def open(
        self, *, refused: dict[str, str] | None = None, excluded: list[str] | None = None
    ) -> None:
        """Have a zygote (a new one in place of an earlier one) collect from now on."""
        launched, self._launched = self._launched, None
        if launched is None:
            self._end_zygote()
            launched = launch(
                self.log, self._run_id, self._cgroup, inherit_output=self._inherit_output
            )
        launched.wait_until_inside()
        self._zygote = launched
        self._channel = FrameSocket(launched.sock)
        self._selector.register(launched.sock, selectors.EVENT_READ, self._channel)
        self._opening = replace(self._opening, refused=refused or {}, excluded=excluded or [])
        self._tell_zygote(self._opening)

    def reopen(self) -> None:
        """Have a new zygote collect what the last one did."""
        self.open(refused=self._opening.refused, excluded=self._opening.excluded)

    def kill_zygote(self) -> None:
        """End the zygote, and everything below it, whatever it is doing; `wait` will say so."""
        if self._zygote is not None:
            self._zygote.end()

    def end_strays(self) -> None:
        """End what the zygote and its units have left behind, now that they are gone."""
        if self._cgroup is not None:
            self._cgroup.end()
        end_marked(self._run_id)  # without such a group, or stepped out of it

    def oom_kills(self) -> int | None:
        """How many processes have been killed for want of host memory, ours alone if that is known.

        None where the system does not say.
        """
        return oom_kills(group=None if self._cgroup is None else self._cgroup.path)

    def start_unit(self, start: messages.StartProcess) -> None:
        """Have the zygote start a unit."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._units[start.unit] = FrameSocket(ours)
        if start.last and not start.on_gpu:
            self._quiet[start.unit] = time.monotonic() + _QUIET_S
        else:
            self._listen_to(start.unit)
        with theirs:
            self._tell_zygote(start, (theirs.fileno(),))

    def feed(self, unit: int, more: messages.MoreTests) -> None:
        """Give a worker more tests; one that has just died is passed over, its end will arrive."""
        channel = self._units.get(unit)
        if channel is not None:
            try:
                channel.send(messages.to_json(more))
            except OSError:
                return

    def end_unit(self, unit: int, grace_s: float) -> None:
        """End a unit and everything under it."""
        self._tell_zygote(messages.EndProcess(unit, grace_s))

    def wait(self, timeout_s: float | None) -> list[Arrival]:
        """What arrived; returns without anything after `timeout_s` or when woken."""
        for key, _ in self._selector.select(self._until_quiet_ends(timeout_s)):
            if key.data is None:
                _drain(self._wake_read)
                for unit in list(self._quiet):  # somebody wants to know how things stand
                    self._read_unit(unit)
            elif key.data is self._channel:
                self._read_zygote()
            elif key.data in self._units:
                self._read_unit(key.data)
        arrived, self._arrived = self._arrived, []
        return arrived

    def _until_quiet_ends(self, timeout_s: float | None) -> float | None:
        """Listen to the units that have lived long enough; until when the others may be quiet."""
        now_s = time.monotonic()
        while self._quiet:
            unit, end_s = next(iter(self._quiet.items()))
            if end_s > now_s:
                return min(end_s - now_s, math.inf if timeout_s is None else timeout_s)
            self._listen_to(unit)
        return timeout_s

    def _listen_to(self, unit: int) -> None:
        self._quiet.pop(unit, None)
        self._selector.register(self._units[unit].sock, selectors.EVENT_READ, unit)

    def _close_unit(self, unit: int) -> None:
        channel = self._units.pop(unit)
        if self._quiet.pop(unit, None) is None:
            self._selector.unregister(channel.sock)
        channel.close()

    def finish(self, exit_status: int) -> None:
        """Have the zygote finish its session with pytest's status; `close` waits for it."""
        if self._serving and not self._is_finishing:
            self._is_finishing = True
            self._tell_zygote(messages.EndSession(exit_status))

    def finish_and_wait(self, exit_status: int) -> str | None:
        """The same, and its `worker_output`; None when it is lost or takes too long."""
        self.finish(exit_status)
        end_s = time.monotonic() + _SESSION_FINISH_LIMIT_S
        while (left_s := end_s - time.monotonic()) > 0:
            for arrival in self.wait(left_s):
                match arrival:
                    case FromZygote(messages.SessionEnded() as ended):
                        return ended.worker_output
                    case ZygoteLost():
                        return None
        return None

    def close(self) -> None:
        """Give the zygote time to finish, end it if it cannot, and let go of everything."""
        if self._is_finishing and self._zygote is not None:
            try:
                self._zygote.process.wait(_SESSION_FINISH_LIMIT_S)
            except subprocess.TimeoutExpired:
                pass  # ended below
        self._end_zygote()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _tell_zygote(self, message: messages.Message, fds: tuple[int, ...] = ()) -> None:
        if self._channel is None:
            return
        self._channel.sock.setblocking(True)
        try:
            self._channel.send(messages.to_json(message), fds)
        except OSError:
            return  # it is gone; the next read says so
        finally:
            self._channel.sock.setblocking(False)

    def _read_zygote(self) -> None:
        assert self._channel is not None
        values, closed = self._channel.receive()
        for value in values:
            message = messages.from_json(value)
            if isinstance(message, messages.CollectionFinished):
                self._serving = True
            elif isinstance(message, messages.SessionEnded):
                self._said_goodbye = True
            elif isinstance(message, messages.ProcessEnded):
                self._drain_unit(message.unit)
            self._arrived.append(FromZygote(message))
        if closed:
            self._selector.unregister(self._channel.sock)
            self._channel.close()
            self._channel = None
            for unit in list(self._units):
                self._drain_unit(unit)
            if not self._said_goodbye:
                self._arrived.append(ZygoteLost(self._how_it_ended()))

    def _read_unit(self, unit: int) -> None:
        channel = self._units[unit]
        values, closed = channel.receive()
        self._arrived.extend(FromUnit(unit, messages.from_json(value)) for value in values)
        if closed:
            self._close_unit(unit)

    def _drain_unit(self, unit: int) -> None:
        """Read what a unit that has ended still had to say, before its end is made known."""
        while unit in self._units and self._has_data(unit):
            self._read_unit(unit)
        if unit in self._units:
            self._close_unit(unit)

    def _has_data(self, unit: int) -> bool:
        try:
            return bool(self._units[unit].sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except ConnectionError:
            return False

    def _how_it_ended(self) -> str:
        assert self._zygote is not None
        try:
            code = self._zygote.process.wait(5.0)
        except subprocess.TimeoutExpired:
            return "stopped answering"
        return f"died of {signal_name(-code)}" if code < 0 else f"exited with status {code}"

    def _end_zygote(self) -> None:
        if self._zygote is not None:
            self._zygote.end()
        self._zygote = None
        self._serving = self._said_goodbye = False
        for unit in list(self._units):
            self._close_unit(unit)
        if self._channel is not None:
            self._selector.unregister(self._channel.sock)
            self._channel.close()
            self._channel = None

    def last_words(self) -> str:
        """The end of what the zygote printed, for an error message."""
        return stacks(self.log)


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return
