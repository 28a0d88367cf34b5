"""One probe: a test in a fresh pytest process under one cap, measured before, during and after."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonnage.clock import Clock, SystemClock
from tonnage.devices.attribution import SIMULATED
from tonnage.devices.open import Devices
from tonnage.devices.sampler import Sampler
from tonnage.errors import AgentError
from tonnage.execute import messages
from tonnage.execute.family import descendants_of, signal_all, signal_name
from tonnage.execute.frames import FrameSocket
from tonnage.execute.output import tail
from tonnage.profile.ending import ProcessEnd, read_ending
from tonnage.profile.model import Cap, ProbeResult, ProbeSettings, Sample
from tonnage.profile.recorder import Recorder
from tonnage.profile.results import measured
from tonnage.profile.space import NOISE_MIB

# What a test that is stopped gets to clean up before it is killed, and one that hangs.
_STOP_GRACE_S = 3.0
_HANG_GRACE_S = 5.0
# How long a starter may take to say that it has started or ended what it was told to.
_KEEPER_PATIENCE_S = 60.0
_TICK_S = 0.05
_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from tonnage.profile.starter import main; sys.exit(main(int(sys.argv[1]), sys.argv[2]))"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """The test to run: as pytest is told it, with further arguments, in a directory."""

    test: str
    pytest_args: tuple[str, ...] = ()
    directory: Path = Path()

    @property
    def arguments(self) -> list[str]:
        """The arguments of `python -m pytest`."""
        reporter = ["-p", "tonnage.profile.reporter", "-p", "no:cacheprovider"]
        return [*reporter, *self.pytest_args, self.test]


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The probe was ended because its `stop` was set."""


def run_probe(
    subject: Subject,
    devices: Devices,
    gpus: Sequence[str],
    cap: Cap,
    settings: ProbeSettings,
    *,
    on_sample: Callable[[Sample], None] | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> ProbeResult:
    """Run the test once on these GPUs (UUIDs) under this cap, and measure it.

    `on_sample` is called from another thread. However this ends, with KeyboardInterrupt too, the
    test's processes have ended. Raises ProbeError when there is not exactly one test to run,
    Stopped once `stop` is set, AgentError when no process can be started.
    """
    clock = clock or SystemClock()
    stop = stop or threading.Event()
    assert devices.backend is not None, "there is no GPU to measure"
    capacity_mib = min(gpu.capacity_mib for gpu in devices.gpus if gpu.uuid in gpus)
    noise_mib = 0 if devices.backend.name == SIMULATED else NOISE_MIB
    began_s = clock.monotonic_s()
    recorder = Recorder(devices, gpus, began_s, on_sample)
    environment = {
        **devices.base_environment,
        **devices.environment_for(gpus),
        **cap.environment(),
        "TONNAGE_TEST": subject.test,
    }
    with (
        tempfile.TemporaryDirectory(prefix="tonnage-probe-") as scratch,
        _starter(subject, Path(scratch)) as starter,
        _sampling(devices, gpus, settings.interval_s, recorder, clock) as sampler,
    ):
        _wait(stop, clock, began_s + settings.baseline_s)
        sampler.read_now()
        start_s = clock.monotonic_s()
        recorder.leader = starter.start(environment)
        limit_s = None if settings.timeout_s is None else start_s + settings.timeout_s
        timed_out = False
        while not starter.has_ended(_TICK_S):
            if stop.is_set():
                starter.end(_STOP_GRACE_S)
                raise Stopped
            if limit_s is not None and clock.monotonic_s() > limit_s and not timed_out:
                timed_out = True
                starter.ask_to_end(_HANG_GRACE_S)
        end_s = clock.monotonic_s()
        last_before_end = recorder.taken[-1]
        until_s = end_s + settings.teardown_s
        while clock.monotonic_s() < until_s and not stop.is_set():
            if settings.ends_early and _has_come_back(recorder, sampler, noise_mib):
                break
            _wait(stop, clock, min(until_s, clock.monotonic_s() + settings.interval_s))
        sampler.read_now()
        sampler.stop()
        output = tail(starter.output)
        ending = read_ending(
            subject.test,
            starter.report(),
            starter.process_end(timed_out),
            output,
            cap,
            capacity_mib,
        )
        return measured(
            cap,
            ending,
            recorder,
            start_s=start_s - began_s,
            end_s=end_s - began_s,
            total_s=clock.monotonic_s() - began_s,
            left_behind_mib=last_before_end.below_mib if starter.survivors else 0,
            survivors=starter.survivors,
            output=output,
            noise_mib=noise_mib,
        )


def _wait(stop: threading.Event, clock: Clock, until_s: float) -> None:
    if stop.wait(max(0.0, until_s - clock.monotonic_s())):
        raise Stopped


def _has_come_back(recorder: Recorder, sampler: Sampler, noise_mib: int) -> bool:
    """Whether every GPU is where it was before the test."""
    now = sampler.read_now().used_mib
    baseline = recorder.baseline_mib
    return all(
        now.get(gpu) is not None and (now[gpu] or 0) <= before + noise_mib
        for gpu, before in baseline.items()
    )


@contextmanager
def _sampling(
    devices: Devices, gpus: Sequence[str], interval_s: float, recorder: Recorder, clock: Clock
) -> Iterator[Sampler]:
    assert devices.backend is not None
    sampler = Sampler(devices.backend, gpus, interval_s, recorder.on_reading, clock)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


class _Starter:
    """Our end of the process that starts and ends the test's (profile.starter)."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", sock: socket.socket, place: Path
    ) -> None:
        self.output = place / "output"
        self.survivors: tuple[str, ...] = ()
        self._report = place / "report"
        self._process = process
        self._channel = FrameSocket(sock)
        self._status: int | None = None

    def start(self, environment: dict[str, str]) -> int:
        """Start the test's process; its pid."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        report = os.open(self._report, flags, 0o600)
        try:
            order = messages.StartProcess(1, [], last=True, lane=0, environment=environment)
            self._channel.send(messages.to_json(order), (report,))
        finally:
            os.close(report)
        while True:
            for message in self._receive(_KEEPER_PATIENCE_S):
                if isinstance(message, messages.ProcessStarted):
                    return message.pid
                if isinstance(message, messages.ProcessEnded):
                    raise AgentError(message.problem or "the test's process could not be started")

    def has_ended(self, patience_s: float) -> bool:
        """Whether the test's process has ended; waits for that a little."""
        for message in self._receive(patience_s) if self._status is None else ():
            if isinstance(message, messages.ProcessEnded):
                self._status = message.wait_status
                self.survivors = tuple(message.survivors)
        return self._status is not None

    def ask_to_end(self, grace_s: float) -> None:
        """Have the test's processes end: stacks, TERM, and KILL after the grace."""
        self._channel.send(messages.to_json(messages.EndProcess(1, grace_s)))

    def end(self, grace_s: float) -> None:
        """End the test's processes and wait until they are gone."""
        with contextlib.suppress(OSError, AgentError):
            self.ask_to_end(grace_s)
            while not self.has_ended(_TICK_S):
                pass

    def process_end(self, timed_out: bool) -> ProcessEnd:
        """How the test's process ended."""
        assert self._status is not None
        if os.WIFSIGNALED(self._status):
            return ProcessEnd(None, signal_name(os.WTERMSIG(self._status)), timed_out)
        return ProcessEnd(os.waitstatus_to_exitcode(self._status), None, timed_out)

    def report(self) -> list[dict[str, Any]]:
        """What the reporter in the test's process wrote."""
        text = self._report.read_text(encoding="utf-8", errors="replace")
        # A process that is killed may leave its last line unfinished.
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def close(self) -> None:
        """End everything, now."""
        self._channel.close()
        try:
            self._process.wait(_KEEPER_PATIENCE_S)
        except subprocess.TimeoutExpired:
            family = (self._process.pid, *descendants_of(self._process.pid))
            signal_all(family, signal.SIGKILL)
            self._process.wait()

    def _receive(self, patience_s: float) -> Iterator[messages.Message]:
        self._channel.sock.settimeout(patience_s)
        try:
            values, closed = self._channel.receive()
        except TimeoutError:
            return
        if closed:
            raise AgentError("the process that runs the test was lost")
        yield from map(messages.from_json, values)


@contextmanager
def _starter(subject: Subject, scratch: Path) -> Iterator[_Starter]:
    ours, theirs = socket.socketpair()
    order = json.dumps(
        [subject.arguments, str(subject.directory.resolve()), str(scratch / "output")]
    )
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, str(theirs.fileno()), order, *sys.path],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    starter = _Starter(process, ours, scratch)
    try:
        yield starter
    finally:
        starter.close()
