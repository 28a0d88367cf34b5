"""The controller: the loop that joins the pure state of a run with its processes and devices.

What happens reaches a `Listener` as values; pytest's hooks and the reports are its business.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tonnage.clock import Clock
from tonnage.devices.open import Devices
from tonnage.execute import messages, state
from tonnage.execute.agent import Agent, Arrival, FromUnit, FromZygote, ZygoteLost
from tonnage.execute.collecting import Collection, collect, lost
from tonnage.execute.environment import unit_environment
from tonnage.execute.family import signal_name
from tonnage.execute.jobs import (
    Isolation,
    RunTest,
    Undeclared,
    describe_gpus,
    machine_of,
    run_tests,
)
from tonnage.execute.launch import Launched
from tonnage.execute.memory_watch import MemoryWatch
from tonnage.execute.output import stacks, tail
from tonnage.execute.verdict import made_up_reports, outcome_of, phase_in_hand, reason_of, reruns_of
from tonnage.record import events
from tonnage.record.outcomes import Outcome
from tonnage.schedule.bounds import lower_bound
from tonnage.units import format_duration, plural

_PREDICT_EVERY_S = 1.0
_TICK_S = 0.1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run is told: what to collect, and Tonnage's own settings."""

    opening: messages.OpenSession
    launched: Launched
    run_id: str
    slots: int
    memory_mib: int | None
    isolation: Isolation | None
    undeclared: Undeclared
    vram_margin: float
    timeout_grace_s: float
    interrupt_grace_s: float
    sample_interval_s: float
    inherit_output: bool


class Listener(Protocol):
    """Who is told what happens, in the run's own thread."""

    def on_event(self, event: events.Event) -> None:
        """Something happened."""

    def restore_report(self, data: dict[str, Any]) -> Any:
        """A report object from its serialised form."""

    def on_reports(
        self, node_id: str, location: tuple[str, int | None, str], reports: Sequence[Any]
    ) -> None:
        """A test is over; these are all its reports."""

    def on_warning(self, warning: messages.WarningRecorded) -> None:
        """A warning was recorded in a test process."""

    def on_worker_output(self, worker_output: str) -> None:
        """Plugins in a test process, or in the zygote at its end, published this."""

    def wants_to_stop(self) -> bool:
        """Whether no more tests should run (`-x`, `--maxfail`)."""

    def on_tick(self) -> None:
        """A moment to redraw."""


class StopRun(Exception):  # noqa: N818 - nobody's error: the run was asked to end, and has
    """The run ended before its last test: by a signal, or because a test asked for it.

    `exits`: the test left the session as `pytest.exit` does; `exit_status` None: pytest's own for
    that.
    """

    def __init__(
        self,
        reason: str,
        *,
        signal_number: int | None = None,
        exits: bool = False,
        exit_status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.signal_number = signal_number
        self.exits = exits
        self.exit_status = exit_status


@dataclass(slots=True)
class _Unit:
    """What the controller knows of a unit beside the state: its pid, and its test in hand."""

    start: state.StartUnit
    pid: int | None = None
    test: int | None = None
    latest: int = 0  # the test in hand, or the last that was
    began_s: float = 0.0
    reports: list[Any] = field(default_factory=list)
    peak_mib: int | None = None
    method: str | None = None


class Controller:
    """One run: `open`, `collect`, `execute`, `finish`; and `close`, whatever happened before."""

    def __init__(
        self, settings: RunSettings, devices: Devices, listener: Listener, clock: Clock
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._listener = listener
        self._clock = clock
        self._zero_s = clock.monotonic_s()
        self._agent = Agent(
            settings.opening, settings.launched, inherit_output=settings.inherit_output
        )
        self._memory = MemoryWatch(devices, settings.sample_interval_s, self._agent.wake_fd, clock)
        self._gpus = describe_gpus(devices.gpus)
        self._machine = machine_of(
            self._gpus, settings.slots, settings.memory_mib, settings.vram_margin
        )
        self._collection = Collection([], [], [], is_complete=False)
        self._our_index: dict[int, int] = {}  # the zygote's index of a test -> ours
        self._tests: list[RunTest] = []
        self._state = state.RunState((), self._machine, timeout_grace_s=0.0)
        self._units: dict[int, _Unit] = {}
        self._durations_s: dict[str, float] = {}  # by job
        self._signals: list[int] = []
        self._end_at_s: float | None = None
        self._stop: StopRun | None = None
        self._predicted_at_s = -_PREDICT_EVERY_S

    # -------------------------------------------------------------- the steps of a run

    def open(self) -> None:
        """Start the zygote, which begins to collect while the caller does other things."""
        self._tell(
            events.RunStarted(
                self._now_s(),
                self._clock.wall_s(),
                self._gpus,
                self._settings.slots,
                self._devices.note,
            )
        )
        self._agent.open()

    def collect(self) -> Collection:
        """Wait for the collection, and weigh it. Raises as execute.collecting.collect does."""
        self._collection = collect(self._agent)
        self._our_index = {theirs: ours for ours, theirs in self._collection.zygote_index.items()}
        self._tests = run_tests(
            self._collection.tests,
            self._gpus,
            self._machine,
            isolation=self._settings.isolation,
            undeclared=self._settings.undeclared,
            forkable=self._collection.zygote_index,
        )
        return self._collection

    def execute(self) -> None:
        """Run the collected tests to the end. Raises StopRun when asked to end before.

        Nothing that was started is left running when this returns or raises.
        """
        self._state = state.RunState(
            self._tests, self._machine, timeout_grace_s=self._settings.timeout_grace_s
        )
        planned = tuple(map(_planned, self._tests))
        self._tell(events.TestsCollected(self._now_s(), planned))
        for notice in (*self._collection.notices, *self._undeclared_notice()):
            self._tell(events.Noticed(self._now_s(), notice))
        with self._catching_signals():
            self._memory.start()
            try:
                self._read_memory()
                self._obey(self._state.begin(self._now_s()))
                while not self._state.is_over:
                    self._step()
            finally:
                self._memory.stop()
        self._measure_bound()
        if self._stop is not None:
            raise self._stop

    def gather(self, exit_status: int) -> None:
        """Have the zygote finish its session now, for what its plugins publish at its end."""
        worker_output = self._agent.finish_and_wait(exit_status)
        if worker_output is not None:
            self._listener.on_worker_output(worker_output)

    def finish(self, exit_status: int) -> None:
        """Have the zygote finish its session, while the caller does other things."""
        self._agent.finish(exit_status)
        self._tell(events.RunFinished(self._now_s(), exit_status))

    def close(self) -> None:
        """Wait for the end of the zygote, and end everything that is still there."""
        self._agent.close()

    # -------------------------------------------------------------- the loop

    def _step(self) -> None:
        arrivals = self._agent.wait(self._wait_s())
        self._heed_signals()  # first: what arrived must not start more after a Ctrl-C
        for arrival in arrivals:
            self._arrived(arrival)
        self._read_memory()
        now_s = self._now_s()
        if self._end_at_s is not None and now_s >= self._end_at_s:
            self._end_at_s = None
            self._obey(self._state.handle(state.StopAsked(now=True), now_s))
        deadline_s = self._state.next_deadline_s()
        if deadline_s is not None and now_s >= deadline_s:
            self._obey(self._state.handle(state.TimePassed(), now_s))
        if now_s - self._predicted_at_s >= _PREDICT_EVERY_S:
            self._predicted_at_s = now_s
            end_s = self._state.predicted_end_s(now_s)
            if end_s is not None:
                self._tell(events.EndPredicted(now_s, end_s))
        self._listener.on_tick()

    def _wait_s(self) -> float:
        now_s = self._now_s()
        known = (self._state.next_deadline_s(), self._end_at_s)
        return min([_TICK_S, *(max(0.0, at_s - now_s) for at_s in known if at_s is not None)])

    def _arrived(self, arrival: Arrival) -> None:
        now_s = self._now_s()
        match arrival:
            case ZygoteLost(how):
                raise lost(how, self._agent.last_words())
            case FromZygote(messages.ProcessStarted(unit, pid)):
                self._units[unit].pid = pid
            case FromZygote(messages.ProcessEnded() as ended):
                self._process_ended(ended, now_s)
            case FromUnit(unit, messages.TestBegan(test)):
                self._test_began(unit, self._ours(unit, test), now_s)
            case FromUnit(unit, messages.ReportMade(_, report)):
                self._units[unit].reports.append(self._listener.restore_report(report))
            case FromUnit(unit, messages.TestEnded() as ended):
                self._test_ended(unit, ended, now_s)
            case FromUnit(unit, messages.Hungry()):
                self._obey(self._state.handle(state.UnitHungry(unit), now_s))
            case FromUnit(unit, messages.Dropped(tests)):
                ours = tuple(self._ours(unit, test) for test in tests)
                self._obey(self._state.handle(state.TestsDropped(unit, ours), now_s))
            case FromUnit(_, messages.HandedOver(worker_output)):
                self._listener.on_worker_output(worker_output)
            case FromUnit(_, messages.WarningRecorded() as warning):
                self._listener.on_warning(warning)
            case FromZygote(messages.WarningRecorded() as warning):
                self._listener.on_warning(warning)
            case _:
                pass  # a report of the session's end: nothing depends on it

    def _obey(self, instructions: Sequence[state.Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case state.StartUnit():
                    self._start_unit(instruction)
                case state.FeedUnit(unit, tests, last, drop):
                    theirs = [self._theirs(unit, test) for test in tests]
                    self._agent.feed(unit, messages.MoreTests(theirs, last, drop))
                case state.EndUnit(unit, gently):
                    grace_s = self._settings.timeout_grace_s if gently else 0.0
                    self._agent.end_unit(unit, grace_s)
                case state.RefuseTest(test, reason):
                    self._refuse(test, reason)
                case state.Notify(text):
                    self._tell(events.Noticed(self._now_s(), text))
                case state.TestLost():
                    raise AssertionError("lost tests are reported where the process ended")

    # -------------------------------------------------------------- units and their tests

    def _start_unit(self, start: state.StartUnit) -> None:
        test = self._tests[start.tests[0]]
        environment = unit_environment(
            os.environ,
            self._gpu_environment(start.gpus),
            test.requirement,
            self._settings.run_id,
        )
        fresh = None
        if test.is_fresh:
            collected = self._collection.tests[test.index]
            fresh = messages.FreshStart(collected.path, [test.node_id])
        self._units[start.unit] = _Unit(start, latest=test.index)
        self._agent.start_unit(
            messages.StartProcess(
                unit=start.unit,
                tests=[self._theirs(start.unit, index) for index in start.tests],
                last=start.last,
                lane=start.lane,
                environment=environment,
                fresh=fresh,
            )
        )

    def _gpu_environment(self, gpus: tuple[str, ...]) -> dict[str, str]:
        # Without any GPU on the machine the caller's mask stays as it is.
        if not self._devices.gpus:
            return {}
        return self._devices.environment_for(gpus)

    def _theirs(self, unit: int, test: int) -> int:
        """The number by which a unit knows a test; one in a new interpreter knows ours."""
        return self._collection.zygote_index.get(test, test)

    def _ours(self, unit: int, test: int) -> int:
        first = self._units[unit].start.tests[0]
        return test if self._tests[first].is_fresh else self._our_index[test]

    def _test_began(self, number: int, test: int, now_s: float) -> None:
        self._begin_attempt(self._units[number], test, now_s)
        self._obey(self._state.handle(state.TestBegan(number, test), now_s))

    def _begin_attempt(self, unit: _Unit, test: int, now_s: float) -> None:
        unit.test = unit.latest = test
        unit.began_s, unit.reports = now_s, []
        unit.peak_mib = unit.method = None
        self._tell(
            events.AttemptStarted(
                at_s=now_s,
                node_id=self._tests[test].node_id,
                attempt=1,
                gpus=unit.start.gpus,
                reserved_mib=unit.start.reserved_mib,
                slot=unit.start.lane,
            )
        )

    def _test_ended(self, number: int, ended: messages.TestEnded, now_s: float) -> None:
        test = self._ours(number, ended.test)
        self._resolve(self._units[number], test, now_s)
        self._obey(self._state.handle(state.TestEnded(number, test), now_s))
        if ended.stop is not None and self._stop is None:
            self._stop = StopRun(ended.stop, exits=ended.exits, exit_status=ended.exit_status)
            self._obey(self._state.handle(state.StopAsked(now=True), now_s))
        elif self._listener.wants_to_stop():
            self._obey(self._state.handle(state.StopAsked(now=True), now_s))

    def _resolve(self, unit: _Unit, test: int, now_s: float) -> None:
        """Pass on what a finished test reported."""
        outcome = outcome_of(unit.reports)
        run_test = self._tests[test]
        self._durations_s[run_test.job.id] = now_s - unit.began_s
        if outcome is not None:
            self._tell(
                events.AttemptFinished(
                    at_s=now_s,
                    node_id=run_test.node_id,
                    attempt=1,
                    outcome=outcome,
                    duration_s=now_s - unit.began_s,
                    peak_mib=unit.peak_mib,
                    method=unit.method,
                    reason=reason_of(unit.reports),
                    reruns=reruns_of(unit.reports),
                )
            )
        self._listener.on_reports(run_test.node_id, self._location(test), unit.reports)
        unit.test = None

    def _process_ended(self, ended: messages.ProcessEnded, now_s: float) -> None:
        unit = self._units[ended.unit]
        self._memory.look()
        instructions = self._state.handle(state.UnitEnded(ended.unit), now_s)
        for instruction in instructions:
            if isinstance(instruction, state.TestLost):
                self._report_lost(unit, instruction, ended, now_s)
        if ended.survivors:
            self._tell(events.Noticed(now_s, self._survivors_notice(unit, ended.survivors)))
        self._obey([each for each in instructions if not isinstance(each, state.TestLost)])
        if self._listener.wants_to_stop():
            self._obey(self._state.handle(state.StopAsked(now=True), now_s))

    def _report_lost(
        self,
        unit: _Unit,
        loss: state.TestLost,
        ended: messages.ProcessEnded,
        now_s: float,
    ) -> None:
        """Report a test whose process ended under it, unless the run itself ended it."""
        if self._is_ending_everything() and not loss.late:
            unit.test = None
            return
        if unit.test is None:
            self._begin_attempt(unit, loss.test, now_s)
        timeout_s = self._tests[loss.test].requirement.timeout_s
        if loss.late:
            outcome = Outcome.TIMEOUT
            reason = (
                f"timeout: ran longer than its declared {timeout_s:g} s, did not stop, "
                "and was ended with everything it had started"
            )
        else:
            outcome = Outcome.CRASHED
            reason = f"crashed: {ended.problem or _how_it_ended(ended.wait_status)}"
        places = self._agent.places(loss.unit, unit.start.lane)
        sections = [
            (title, text)
            for title, text in (
                ("Stacks when it ended", stacks(Path(places.stacks))),
                ("Captured stdout, last lines", tail(Path(places.out))),
                ("Captured stderr, last lines", tail(Path(places.err))),
            )
            if text
        ]
        unit.reports.extend(
            made_up_reports(
                self._tests[loss.test].node_id,
                self._location(loss.test),
                phase=phase_in_hand(unit.reports),
                outcome=outcome,
                text=reason,
                sections=sections,
                duration_s=now_s - unit.began_s,
            )
        )
        self._resolve(unit, loss.test, now_s)

    def _measure_bound(self) -> None:
        """Say what no schedule of the tests that ran could have beaten."""
        ran = [test.job for test in self._tests if test.job.id in self._durations_s]
        if ran:
            bound = lower_bound(ran, self._machine, self._durations_s)
            self._tell(events.BoundMeasured(self._now_s(), bound.seconds, bound.resource))

    def _survivors_notice(self, unit: _Unit, survivors: Sequence[str]) -> str:
        who = self._tests[unit.latest].node_id
        if not unit.start.last:
            who += ", or a test before it in its process,"
        return f"{who} left processes behind, now ended: {', '.join(survivors)}"

    def _undeclared_notice(self) -> list[str]:
        count = sum(test.is_undeclared and test.job.gpus > 0 for test in self._tests)
        if not count:
            return []
        return [
            f"{plural(count, 'test')} without a hardware marker: each gets a whole GPU to itself, "
            "which is safe and slow; mark them (gpu_0, gpu_1 ...), or use --undeclared cpu"
        ]

    def _refuse(self, test: int, reason: str) -> None:
        """Report a test that cannot run as an error of its setup."""
        now_s = self._now_s()
        node_id, location = self._tests[test].node_id, self._location(test)
        reports = made_up_reports(
            node_id, location, phase="setup", outcome=Outcome.ERROR, text=reason
        )
        self._tell(
            events.AttemptFinished(now_s, node_id, 1, Outcome.ERROR, 0.0, None, None, reason)
        )
        self._listener.on_reports(node_id, location, reports)

    def _location(self, test: int) -> tuple[str, int | None, str]:
        path, line, name = self._collection.tests[test].location
        return path, line, name

    # -------------------------------------------------------------- memory

    def _read_memory(self) -> None:
        for number in [number for number in self._units if not self._state.holds(number)]:
            del self._units[number]
        leaders = {unit.pid: number for number, unit in self._units.items() if unit.pid}
        for divided in self._memory.take(leaders, self._state.reservations_of_units()):
            now_s = self._now_s()
            attribution = divided.attribution
            by_unit = {int(unit): used for unit, used in attribution.by_attempt.items()}
            for number, used in by_unit.items():
                unit = self._units.get(number)
                if unit is not None and unit.test is not None and used:
                    unit.peak_mib = max(unit.peak_mib or 0, *used.values())
                    unit.method = attribution.method
            foreign = attribution.foreign_mib
            self._obey(self._state.handle(state.MemoryRead(by_unit, foreign), now_s))
            reserved = self._state.reserved_mib()
            for gpu, used_mib in divided.reading.used_mib.items():
                self._tell(
                    events.GpuSampled(
                        now_s, gpu, used_mib, foreign.get(gpu, 0), reserved.get(gpu, 0)
                    )
                )

    # -------------------------------------------------------------- signals

    @contextmanager
    def _catching_signals(self) -> Iterator[None]:
        def caught(number: int, _: Any) -> None:
            self._signals.append(number)
            os.write(self._agent.wake_fd, b"s")

        before = {}
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                before[number] = signal.signal(number, caught)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            now_s = self._now_s()
            is_first = self._stop is None
            if is_first:
                self._stop = StopRun(signal_name(number), signal_number=number)
            if number == signal.SIGINT and is_first and self._state.running:
                grace_s = self._settings.interrupt_grace_s
                self._end_at_s = now_s + grace_s
                self._tell(
                    events.Noticed(
                        now_s,
                        "interrupted: nothing more is started; what runs may finish within "
                        f"{format_duration(grace_s)} (Ctrl-C again ends it now)",
                    )
                )
                self._obey(self._state.handle(state.StopAsked(now=False), now_s))
            else:
                self._end_at_s = None
                self._obey(self._state.handle(state.StopAsked(now=True), now_s))

    def _is_ending_everything(self) -> bool:
        return self._state.ended_everything

    # -------------------------------------------------------------- small things

    def _now_s(self) -> float:
        return self._clock.monotonic_s() - self._zero_s

    def _tell(self, event: events.Event) -> None:
        self._listener.on_event(event)


def _planned(test: RunTest) -> events.PlannedTest:
    return events.PlannedTest(
        node_id=test.node_id,
        gpus=test.job.gpus,
        reserved_mib=test.job.vram_mib,
        declared_mib=test.requirement.vram_mib,
        cpus=test.job.cpus,
        timeout_s=test.requirement.timeout_s,
        estimate_s=test.job.estimate_s,
    )


def _how_it_ended(wait_status: int) -> str:
    code = os.waitstatus_to_exitcode(wait_status)
    if code < 0:
        hint = " (the kernel's out-of-memory killer, perhaps)" if code == -signal.SIGKILL else ""
        return f"the process died of {signal_name(-code)}{hint}"
    return f"the process exited with status {code} in the middle of the test"
