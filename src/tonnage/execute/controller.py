"""The controller: the loop that joins the pure state of a run with its processes and devices.

What happens reaches a `Listener` as values; pytest's hooks and the reports are its business.
"""

import os
import signal
from collections.abc import Sequence

from tonnage.clock import Clock
from tonnage.devices.open import Devices
from tonnage.execute import happenings, messages
from tonnage.execute.agent import Agent, Arrival, FromUnit, FromZygote, ZygoteLost
from tonnage.execute.attempts import Attempts
from tonnage.execute.caller import Listener, RunSettings, StopRun
from tonnage.execute.collecting import Collection, collect, collect_again, lost
from tonnage.execute.family import signal_name
from tonnage.execute.jobs import RunTest, describe_gpus, machine_of, run_tests
from tonnage.execute.memory_watch import MemoryWatch
from tonnage.execute.neighbours import MAY_START, Neighbours
from tonnage.execute.orders import Orders
from tonnage.execute.signals import STATUS_SIGNAL, Signals
from tonnage.execute.state import RunState
from tonnage.execute.status import status_lines
from tonnage.execute.undeclared import undeclared_notice
from tonnage.record import events
from tonnage.record.outcomes import Outcome
from tonnage.schedule.bounds import lower_bound
from tonnage.units import format_duration, plural

_PREDICT_EVERY_S = 1.0
_TICK_S = 0.1
# What ending everything may take once it is asked for; then the zygote is ended, and all with it.
_END_LIMIT_S = 20.0
# A zygote that is lost is replaced this often: something that kills it again and again is no
# accident.
_MOST_ZYGOTES = 3


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
            settings.opening,
            settings.launched,
            settings.run_id,
            inherit_output=settings.inherit_output,
        )
        self._memory = MemoryWatch(devices, settings.sample_interval_s, self._agent.wake_fd, clock)
        self._neighbours = Neighbours(devices, settings.run_id, os.environ, self._notice)
        self._signals = Signals(self._agent.wake_fd)
        self._gpus = describe_gpus(devices.gpus)
        self._machine = machine_of(
            self._gpus, settings.slots, settings.memory_mib, settings.vram_margin
        )
        self._collection = Collection([], [], [], is_complete=False)
        self._tests: list[RunTest] = []
        self._state = RunState((), self._machine, timeout_grace_s=0.0)
        self._attempts = Attempts(listener, (), (), self._agent.places, self._agent.oom_kills)
        self._orders = self._orders_for(self._collection)
        self._zygotes = 1
        self._end_at_s: float | None = None  # end what runs
        self._give_up_at_s: float | None = None  # end the zygote itself
        self._stop: StopRun | None = None
        self._is_asked = False
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
        self._tests = run_tests(
            self._collection.tests,
            self._gpus,
            self._machine,
            isolation=self._settings.isolation,
            undeclared=self._settings.undeclared,
            measured=self._settings.measured,
            forkable=self._collection.zygote_index,
        )
        return self._collection

    def execute(self) -> None:
        """Run the collected tests to the end. Raises StopRun when asked to end before.

        Nothing that was started is left running when this returns or raises.
        """
        self._state = RunState(
            self._tests,
            self._machine,
            timeout_grace_s=self._settings.timeout_grace_s,
            slow_after_s=self._settings.slow_after_s,
        )
        self._attempts = Attempts(
            self._listener,
            self._tests,
            self._collection.locations(),
            self._agent.places,
            self._agent.oom_kills,
        )
        self._orders = self._orders_for(self._collection)
        planned = tuple(map(_planned, self._tests))
        self._tell(events.TestsCollected(self._now_s(), planned))
        for notice in (*self._collection.notices, *self._undeclared_notice()):
            self._notice(notice)
        with self._signals.caught():
            self._memory.start()
            try:
                self._read_memory()
                self._begin()
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
        self._neighbours.close()
        self._agent.end_strays()

    # -------------------------------------------------------------- the loop

    def _step(self) -> None:
        # One who asks is answered a step later, when what had happened by then is known.
        was_asked, self._is_asked = self._is_asked, False
        arrivals = self._agent.wait(self._wait_s())
        self._heed_signals()  # first: what arrived must not start more after a Ctrl-C
        for arrival in arrivals:
            self._arrived(arrival)
        self._read_memory()
        now_s = self._now_s()
        if self._end_at_s is not None and now_s >= self._end_at_s:
            self._end_now()
        if self._give_up_at_s is not None and now_s >= self._give_up_at_s:
            self._give_up_at_s = None
            self._agent.kill_zygote()
        deadline_s = self._state.next_deadline_s()
        if deadline_s is not None and now_s >= deadline_s:
            self._happened(happenings.TimePassed())
        if now_s - self._predicted_at_s >= _PREDICT_EVERY_S:
            self._predicted_at_s = now_s
            end_s = self._state.predicted_end_s(now_s)
            if end_s is not None:
                self._tell(events.EndPredicted(now_s, end_s))
        if was_asked or self._listener.asks_for_status():
            self._show_status()
        self._listener.on_tick()

    def _wait_s(self) -> float:
        now_s = self._now_s()
        known = (self._state.next_deadline_s(), self._end_at_s, self._give_up_at_s)
        return min([_TICK_S, *(max(0.0, at_s - now_s) for at_s in known if at_s is not None)])

    def _arrived(self, arrival: Arrival) -> None:
        match arrival:  # the most frequent first
            case FromUnit(unit, messages.ReportMade(_, report)):
                self._attempts.reported(unit, self._listener.restore_report(report))
            case FromUnit(unit, messages.TestBegan(theirs, at_s)):
                test, began_s = self._orders.ours(unit, theirs), at_s - self._zero_s
                self._attempts.began(unit, test, began_s)
                self._obey(self._handle(happenings.TestBegan(unit, test), began_s))
            case FromUnit(unit, messages.TestEnded() as ended):
                self._test_ended(unit, ended)
            case FromUnit(unit, messages.ProcessStarted(pid)):
                self._attempts.started(unit, pid)
            case FromZygote(messages.ProcessEnded() as ended):
                self._process_ended(ended)
            case FromUnit(unit, messages.Hungry()):
                self._happened(happenings.UnitHungry(unit))
            case FromUnit(unit, messages.Dropped(tests)):
                ours = tuple(self._orders.ours(unit, test) for test in tests)
                self._happened(happenings.TestsDropped(unit, ours))
            case FromUnit(_, messages.HandedOver(worker_output)):
                self._listener.on_worker_output(worker_output)
            case FromUnit(_, messages.WarningRecorded() as warning):
                self._listener.on_warning(warning)
            case FromZygote(messages.WarningRecorded() as warning):
                self._listener.on_warning(warning)
            case ZygoteLost(how):
                self._zygote_lost(how)
            case _:
                pass  # a report of the session's end: nothing depends on it

    def _orders_for(self, collection: Collection) -> Orders:
        return Orders(self._tests, collection, self._devices, self._settings.caps, os.environ)

    def _begin(self) -> None:
        now_s = self._now_s()
        self._neighbours.open(has_gpu_tests=any(test.job.gpus for test in self._tests))
        with self._neighbours.deciding(self._state, now_s):
            instructions = self._state.begin(now_s)
        self._obey(instructions)

    def _happened(self, happening: happenings.Happening) -> None:
        """Have the state decide, and do what it says."""
        self._obey(self._handle(happening))

    def _handle(
        self, happening: happenings.Happening, at_s: float | None = None
    ) -> Sequence[happenings.Instruction]:
        """Have the state decide; where it may start something, alone on this machine.

        `at_s`: when it happened, if that was not now.
        """
        now_s = self._now_s() if at_s is None else at_s
        if not isinstance(happening, MAY_START):
            return self._state.handle(happening, now_s)
        with self._neighbours.deciding(self._state, now_s):
            return self._state.handle(happening, now_s)

    def _obey(self, instructions: Sequence[happenings.Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case happenings.StartUnit():
                    attempt = self._attempts.start(instruction)
                    self._agent.start_unit(self._orders.start(instruction, attempt))
                case happenings.FeedUnit(unit):
                    self._agent.feed(unit, self._orders.feed(instruction))
                case happenings.EndUnit(unit, gently):
                    grace_s = self._settings.timeout_grace_s if gently else 0.0
                    self._attempts.told_to_end(unit)
                    self._agent.end_unit(unit, grace_s)
                case happenings.RefuseTest(test, reason):
                    self._attempts.refuse(test, reason, self._now_s())
                case happenings.TestSlow():
                    self._attempts.slow(instruction, self._now_s())
                case happenings.MemoryLeaked():
                    self._attempts.leaked(instruction, self._now_s())
                case happenings.MemoryStrayed(unit, gpu, used_mib):
                    label = next(each.label for each in self._gpus if each.uuid == gpu)
                    self._notice(self._attempts.strayed_notice(unit, label, used_mib))
                case happenings.Notify(text):
                    self._notice(text)
                case happenings.TestLost() | happenings.RetryAlone() | happenings.StartOver():
                    raise AssertionError("these are told where the attempt ended")

    # -------------------------------------------------------------- units and their tests

    def _test_ended(self, unit: int, ended: messages.TestEnded) -> None:
        ended_s = ended.at_s - self._zero_s
        test = self._orders.ours(unit, ended.test)
        if ended.without_gpu:
            self._attempts.used_no_gpu(unit)
        out_of_memory = self._attempts.ran_out_of_memory(unit)
        instructions = self._handle(happenings.TestEnded(unit, test, out_of_memory), ended_s)
        if happenings.RetryAlone(unit, test) in instructions:
            self._attempts.to_be_retried(unit, ended_s)
        else:
            self._attempts.ended(unit, ended_s)
        self._obey([each for each in instructions if not isinstance(each, happenings.RetryAlone)])
        if ended.stop is not None and self._stop is None:
            self._stop = StopRun(ended.stop, exits=ended.exits, exit_status=ended.exit_status)
            self._end_now()
        elif self._listener.wants_to_stop():
            self._end_now()

    def _process_ended(self, ended: messages.ProcessEnded) -> None:
        now_s = self._now_s()
        self._memory.look()
        is_clean = ended.wait_status == 0 and ended.problem is None
        ran_out = self._attempts.host_memory_ran_out(now_s, is_urgent=not is_clean)
        happening = happenings.UnitEnded(ended.unit, self._attempts.died_of_memory(ended.unit))
        rest: list[happenings.Instruction] = []
        instructions = self._handle(happening)
        for instruction in instructions:
            match instruction:
                case happenings.TestLost():
                    self._test_lost(instruction, ended, host_memory_ran_out=ran_out)
                case happenings.RetryAlone():
                    self._attempts.lost_to_memory(instruction, now_s)
                case happenings.StartOver(unit):
                    self._notice(self._attempts.start_over_notice(unit))
                    self._attempts.dropped(unit)
                case _:
                    rest.append(instruction)
        if ran_out and os.waitstatus_to_exitcode(ended.wait_status) != -signal.SIGKILL:
            self._notice(self._attempts.host_memory_notice(ended.unit))
        if ended.survivors:
            self._notice(self._attempts.survivors_notice(ended.unit, ended.survivors))
        if len(rest) == len(instructions) and not self._state.ended_everything:
            notice = self._attempts.dirty_end_notice(ended)
            if notice is not None:
                self._notice(notice)
        self._obey(rest)
        if self._listener.wants_to_stop():
            self._end_now()

    def _test_lost(
        self,
        loss: happenings.TestLost,
        ended: messages.ProcessEnded | None = None,
        *,
        host_memory_ran_out: bool = False,
    ) -> None:
        """Report a test whose process ended under it, unless the run itself ended it."""
        if self._state.ended_everything and loss.outcome is not Outcome.TIMEOUT:
            self._attempts.dropped(loss.unit)
        else:
            self._attempts.lost(loss, ended, self._now_s(), host_memory_ran_out)

    def _zygote_lost(self, how: str) -> None:
        """Go on with a new zygote: what ran is lost, what waited is not."""
        self._agent.end_strays()
        losses = 0
        for instruction in self._handle(happenings.AgentLost()):
            if isinstance(instruction, happenings.TestLost):
                losses += 1
                self._test_lost(instruction)
            elif isinstance(instruction, happenings.StartOver):
                self._attempts.dropped(instruction.unit)
        if self._state.ended_everything:
            return
        if self._zygotes == _MOST_ZYGOTES:
            raise lost(how, self._agent.last_words())
        self._zygotes += 1
        self._notice(
            f"the process that starts the tests {how}; {plural(losses, 'test')} that ran then "
            "count as lost, and a new one collects again"
        )
        again = collect_again(self._agent, self._collection, lambda: self._signals.wants_to_stop)
        if again is not None:
            self._collection = again
            self._orders.collected_again(again)
            self._happened(happenings.TimePassed())

    # -------------------------------------------------------------- ending before the end

    def _heed_signals(self) -> None:
        for number in self._signals.taken():
            if number == STATUS_SIGNAL:
                self._is_asked = True
                continue
            if number == signal.SIGHUP:
                self._listener.on_hangup()
            is_first = self._stop is None
            if is_first:
                self._stop = StopRun(signal_name(number), signal_number=number)
            if number == signal.SIGINT and is_first and self._state.running:
                grace_s = self._settings.interrupt_grace_s
                self._end_at_s = self._now_s() + grace_s
                self._notice(
                    "interrupted: nothing more is started; what runs may finish within "
                    f"{format_duration(grace_s)} (Ctrl-C again ends it now)"
                )
                self._happened(happenings.StopAsked(now=False))
            else:
                self._end_now()

    def _end_now(self) -> None:
        self._end_at_s = None
        if self._give_up_at_s is None:
            self._give_up_at_s = self._now_s() + _END_LIMIT_S
        self._happened(happenings.StopAsked(now=True))

    # -------------------------------------------------------------- memory

    def _read_memory(self) -> None:
        self._attempts.forget(self._state.holds)
        for divided in self._memory.take(
            self._attempts.leaders(),
            self._state.reservations_of_units(),
            self._state.ended_units(),
        ):
            now_s = self._now_s()
            attribution = divided.attribution
            self._neighbours.saw(attribution)
            by_unit = {int(unit): used for unit, used in attribution.by_attempt.items()}
            self._attempts.saw_memory(by_unit, attribution.method)
            foreign = attribution.foreign_mib
            untold: dict[int, set[str]] = {}
            for gpu, units in attribution.untold.items():
                for unit in units:
                    untold.setdefault(int(unit), set()).add(gpu)
            read_at_s = divided.reading.at_s - self._zero_s
            self._happened(happenings.MemoryRead(by_unit, foreign, untold, read_at_s))
            reserved = self._state.reserved_mib()
            for gpu, used_mib in divided.reading.used_mib.items():
                self._tell(
                    events.GpuSampled(
                        now_s, gpu, used_mib, foreign.get(gpu, 0), reserved.get(gpu, 0)
                    )
                )

    def _measure_bound(self) -> None:
        """Say what no schedule of the tests that ran could have beaten."""
        durations_s = self._attempts.durations_s
        ran = [test.job for test in self._tests if test.job.id in durations_s]
        if ran:
            bound = lower_bound(ran, self._machine, durations_s)
            self._tell(events.BoundMeasured(self._now_s(), bound.seconds, bound.resource))

    # -------------------------------------------------------------- words

    def _show_status(self) -> None:
        labels = {gpu.uuid: gpu.label for gpu in self._gpus}
        self._listener.on_status(status_lines(self._state.status(), labels, self._now_s()))

    def _undeclared_notice(self) -> list[str]:
        on_gpus = [test.job for test in self._tests if test.is_undeclared and test.job.gpus]
        whole = sum(job.vram_mib is None for job in on_gpus)
        notice = undeclared_notice(self._settings.undeclared, len(on_gpus) - whole, whole)
        return [] if notice is None else [notice]

    def _notice(self, text: str) -> None:
        self._tell(events.Noticed(self._now_s(), text))

    def _tell(self, event: events.Event) -> None:
        self._listener.on_event(event)

    def _now_s(self) -> float:
        return self._clock.monotonic_s() - self._zero_s


def _planned(test: RunTest) -> events.PlannedTest:
    return events.PlannedTest(
        node_id=test.node_id,
        gpus=test.job.gpus,
        reserved_mib=test.job.vram_mib,
        declared_mib=test.requirement.vram_mib,
        cpus=test.job.cpus,
        timeout_s=test.limit_s,
        estimate_s=test.job.estimate_s,
    )
