"""The state of a run: what happened goes in, what to do comes out. Pure: no clock, no process.

Every test is pending, in a unit, or ended, once. A *unit* is one test process: with one test (an
attempt in isolation), with the tests of a batch, or, as a worker, with a queue that is refilled
while it runs. A unit holds its resources from the moment it is started until its process has ended
and its GPU memory is back.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence

from tonnage.execute.batches import job_of
from tonnage.execute.cards import Cards
from tonnage.execute.happenings import (
    AgentLost,
    EndUnit,
    FeedUnit,
    Happening,
    Instruction,
    MemoryLeaked,
    MemoryRead,
    MemoryStrayed,
    NeighboursRead,
    Notify,
    RefuseTest,
    RetryAlone,
    StartOver,
    StartUnit,
    StopAsked,
    TestBegan,
    TestEnded,
    TestLost,
    TestsDropped,
    TestSlow,
    TimePassed,
    UnitEnded,
    UnitHungry,
)
from tonnage.execute.jobs import RunTest
from tonnage.execute.pending import Pending
from tonnage.execute.status import RunningNow, RunStatus
from tonnage.execute.unit import Unit, worker_job
from tonnage.record.outcomes import Outcome
from tonnage.schedule.bounds import unplaceable
from tonnage.schedule.decide import decide
from tonnage.schedule.fit import Free, reserved_mib
from tonnage.schedule.model import Machine, Running
from tonnage.schedule.simulate import predict_end_s

# How long a finished test's GPU memory may take to come back before what remains counts as
# somebody else's. Drivers free asynchronously, usually within a few hundred milliseconds.
RELEASE_LIMIT_S = 10.0
# Memory that other processes hold may be waited for this long while nothing of ours runs.
FOREIGN_WAIT_S = 600.0


class RunState:
    """A run from its collected tests to its last process."""

    def __init__(
        self,
        tests: Sequence[RunTest],
        machine: Machine,
        *,
        timeout_grace_s: float,
        slow_after_s: float = math.inf,
    ) -> None:
        self._pending = Pending(tests)
        self._cards = Cards(machine)
        self._timeout_grace_s = timeout_grace_s
        self._slow_after_s = slow_after_s
        self._units: dict[int, Unit] = {}
        self._next_unit = 1
        self._ended: set[int] = set()
        self._retried: set[int] = set()
        self._stopping = self._ending_all = False
        self._idle_since_s: float | None = None
        self._out: list[Instruction] = []

    # -------------------------------------------------------------- questions

    @property
    def pending(self) -> int:
        """Tests not in any unit and not ended."""
        return len(self._pending)

    @property
    def is_over(self) -> bool:
        """Nothing runs, and nothing will be started."""
        return not self._units and (self._stopping or not self._pending)

    def holds(self, unit: int) -> bool:
        """Whether this unit still has resources: it runs, or its memory is not back."""
        return unit in self._units

    @property
    def running(self) -> int:
        """Units whose process has not ended."""
        return sum(unit.lives for unit in self._units.values())

    @property
    def ended_everything(self) -> bool:
        """Whether the run was told to end what was running."""
        return self._ending_all

    def status(self) -> RunStatus:
        """What runs, what waits and for what."""
        running = [
            RunningNow(
                self._test(unit.current).node_id,
                unit.began_s,
                unit.gpus,
                max(unit.reserved_mib, default=0),
                self._test(unit.current).limit_s,
            )
            for unit in self._units.values()
            if unit.current is not None
        ]
        free = Free(self._cards.machine, self._running())
        return RunStatus(len(self._ended), running, self._pending.waiting(free))

    def reserved_mib(self) -> dict[str, int]:
        """What the run has set aside, by GPU."""
        total = dict.fromkeys(self._cards.by_id(), 0)
        for unit in self._units.values():
            for gpu, held in zip(unit.gpus, unit.held_mib(), strict=True):
                total[gpu] += held
        return total

    def reservations_of_units(self) -> dict[int, dict[str, int]]:
        """The same by unit: what a reading that cannot name processes is divided by."""
        return {
            unit.id: dict(zip(unit.gpus, unit.reserved_mib, strict=True))
            for unit in self._units.values()
            if unit.gpus
        }

    def ended_units(self) -> list[int]:
        """Units whose process has ended and whose memory is not back."""
        return [unit.id for unit in self._units.values() if not unit.lives]

    def next_deadline_s(self) -> float | None:
        """When to come back with TimePassed though nothing happened; None: no need."""
        times = [
            unit.began_s + limit
            for unit in self._units.values()
            if unit.current is not None and unit.late is None
            if (limit := self._limit_s(unit.current)) is not None
        ]
        times += [
            unit.began_s + unit.slow_s
            for unit in self._units.values()
            if unit.current is not None and not math.isinf(unit.slow_s)
        ]
        times += [
            unit.ended_s + RELEASE_LIMIT_S
            for unit in self._units.values()
            if unit.ended_s is not None
        ]
        if self._idle_since_s is not None:
            times.append(self._idle_since_s + FOREIGN_WAIT_S)
        return min(times, default=None)

    def predicted_end_s(self, now_s: float) -> float | None:
        """When the last test is expected to end; None when no duration is known."""
        return predict_end_s(self._pending.backlog, self._running(), self._cards.machine, now_s)

    # -------------------------------------------------------------- the run

    def begin(self, now_s: float) -> tuple[Instruction, ...]:
        """Refuse what can never run, before anything runs; then start the first tests."""
        placeable: list[RunTest] = []
        for test in self._pending.tests:
            reason = test.problem or unplaceable(test.job, self._cards.machine)
            if reason is None:
                placeable.append(test)
            else:
                self._ended.add(test.index)
                self._out.append(RefuseTest(test.index, reason))
        self._pending.fill(placeable)
        self._schedule(now_s)
        return self._take_out()

    def handle(self, happening: Happening, now_s: float) -> tuple[Instruction, ...]:
        """What to do now that this happened."""
        match happening:
            case TestBegan(unit, test):
                self._began(self._units[unit], test, now_s)
            case TestEnded(unit, test, out_of_memory):
                self._test_ended(self._units[unit], test, out_of_memory, now_s)
            case UnitHungry(unit):
                self._units[unit].hungry = True
                self._schedule(now_s)
            case TestsDropped(unit, tests):
                self._units[unit].queue.clear()
                self._pending.put_back(tests)
            case UnitEnded(unit, out_of_memory):
                is_late = self._units[unit].late is not None
                lost = Outcome.TIMEOUT if is_late else Outcome.CRASHED
                self._unit_ended(self._units[unit], lost, out_of_memory, now_s)
                self._schedule(now_s)
            case AgentLost():
                for each in tuple(self._units.values()):
                    if each.lives:
                        self._unit_ended(each, Outcome.LOST, False, now_s)
            case MemoryRead():
                self._memory_read(happening)
                self._schedule(now_s)
            case NeighboursRead():
                self._cards.hear(happening)
            case TimePassed():
                self._time_passed(now_s)
                self._schedule(now_s)
            case StopAsked(now):
                self._stop(now=now)
        return self._take_out()

    def _take_out(self) -> tuple[Instruction, ...]:
        out = tuple(self._out)
        self._out.clear()
        return out

    # -------------------------------------------------------------- what happened

    def _began(self, unit: Unit, test: int, now_s: float) -> None:
        if test in unit.queue:
            unit.queue.remove(test)
        unit.current, unit.began_s, unit.ran_any = test, now_s, True
        unit.slow_s = self._slow_after_s
        unit.had_company = any(map(unit.shares_a_card_with, self._units.values()))

    def _test_ended(self, unit: Unit, test: int, out_of_memory: bool, now_s: float) -> None:
        unit.current = None
        if out_of_memory and self._retry_alone(unit, test):
            return
        self._ended.add(test)
        self._pending.learn(test, now_s - unit.began_s)

    def _retry_alone(self, unit: Unit, test: int) -> bool:
        """Try a test again, without company, if company may be why it ran out of memory."""
        if not unit.had_company or test in self._retried or self._stopping:
            return False
        self._retried.add(test)
        self._pending.add_alone(test)
        self._out.append(RetryAlone(unit.id, test))
        return True

    # -------------------------------------------------------------- units and their memory

    def _unit_ended(self, unit: Unit, how: Outcome, out_of_memory: bool, now_s: float) -> None:
        lost = unit.current
        if lost is not None and unit.late is not None and unit.late != lost:
            # It came to be in hand while the unit was being ended for the one before it.
            unit.queue.appendleft(lost)
            self._out.append(StartOver(unit.id, lost))
            lost = None
        if lost is None and unit.queue and not unit.ran_any:
            # It ended before it began anything: its first test answers for that, or a process
            # that cannot start would be started for ever.
            lost = unit.queue.popleft()
        if lost is not None and not (out_of_memory and self._retry_alone(unit, lost)):
            self._ended.add(lost)
            going_on = 0 if unit.is_worker else len(unit.queue)
            self._out.append(TestLost(unit.id, lost, how, going_on))
        self._pending.put_back(unit.queue)
        unit.queue.clear()
        unit.current = None
        if unit.gpus:
            unit.ended_s = now_s
        else:
            del self._units[unit.id]

    def _memory_read(self, reading: MemoryRead) -> None:
        strayed_mib: dict[str, int] = {}
        for unit in tuple(self._units.values()):
            used = reading.by_unit.get(unit.id, {})
            untold = reading.untold.get(unit.id, ())
            # What a reading says nothing about stays as it was last seen, and reserved.
            unit.measured_mib = {
                gpu: unit.measured_mib.get(gpu, 0) if gpu in untold else used.get(gpu, 0)
                for gpu in unit.gpus
            }
            for gpu, mib in self._strays_of(unit, used).items():
                strayed_mib[gpu] = strayed_mib.get(gpu, 0) + mib
            if (
                unit.ended_s is not None
                and reading.at_s >= unit.ended_s
                and not untold
                and not any(unit.measured_mib.values())
            ):
                del self._units[unit.id]
        self._cards.read(reading.foreign_mib, strayed_mib)

    def _strays_of(self, unit: Unit, used_mib: Mapping[str, int]) -> dict[str, int]:
        """Memory on cards that the unit was not given: nobody's reservation, so it is foreign."""
        strays = {
            gpu: mib
            for gpu, mib in used_mib.items()
            if mib and gpu not in unit.gpus and gpu in self._cards
        }
        for gpu, mib in strays.items():
            if gpu not in unit.strays:
                unit.strays.add(gpu)
                self._out.append(MemoryStrayed(unit.id, gpu, mib))
        return strays

    def _time_passed(self, now_s: float) -> None:
        for unit in tuple(self._units.values()):
            if unit.ended_s is not None:
                if now_s - unit.ended_s >= RELEASE_LIMIT_S:
                    # The next readings count what remains as foreign: it stays off the card.
                    del self._units[unit.id]
                    left_mib = {gpu: mib for gpu, mib in unit.measured_mib.items() if mib}
                    if left_mib:
                        self._out.append(MemoryLeaked(unit.id, left_mib))
            elif unit.current is not None:
                self._mind_time(unit, unit.current, now_s - unit.began_s)

    def _mind_time(self, unit: Unit, test: int, elapsed_s: float) -> None:
        """Call a test slow, and again each time its time has doubled; end one that is late."""
        if elapsed_s >= unit.slow_s:
            while unit.slow_s <= elapsed_s:
                unit.slow_s *= 2
            self._out.append(TestSlow(unit.id, test, elapsed_s))
        limit_s = self._limit_s(test)
        if limit_s is not None and elapsed_s >= limit_s and unit.late is None:
            unit.late = test
            self._out.append(EndUnit(unit.id, gently=True))

    def _limit_s(self, test: int) -> float | None:
        """Seconds until the supervisor ends a test that outlived its own deadline."""
        limit_s = self._test(test).limit_s
        return None if limit_s is None else limit_s + self._timeout_grace_s

    def _stop(self, *, now: bool) -> None:
        self._stopping = True
        self._ending_all = self._ending_all or now
        for unit in self._units.values():
            if not unit.lives:
                continue
            if now and (unit.current is not None or not unit.ran_any):
                self._out.append(EndUnit(unit.id, gently=False))
            elif not unit.dropping and (unit.is_worker or unit.queue or now):
                # Between two tests it tears down what they shared, and ends.
                unit.dropping = unit.last = True
                self._out.append(FeedUnit(unit.id, (), last=True, drop=True))

    # -------------------------------------------------------------- what to start

    def _schedule(self, now_s: float) -> None:
        if self._stopping:
            return
        hungry = [
            unit
            for unit in self._units.values()
            if unit.hungry and not unit.last and unit.lives and unit.late is None
        ]
        if self._pending:
            # A hungry worker's slot counts as free: what is placed there goes to the worker if it
            # can, and otherwise the worker ends and makes room.
            decision = decide(
                self._pending.backlog,
                self._running(leaving_out=hungry),
                self._cards.machine,
                now_s,
            )
            free_slots = self._free_slots()
            for placement in decision.placements:
                test = self._test(int(placement.job.id))
                if placement.job.id not in self._pending.backlog:
                    # An earlier helping took it along; the place goes to the next such test.
                    following = self._pending.next_shareable()
                    if following is None:
                        continue
                    test = following
                if test.in_worker and hungry:
                    unit = hungry.pop(0)
                    self._feed(unit, self._helping(test.index))
                elif placement.job.cpus <= free_slots:
                    free_slots -= placement.job.cpus
                    self._start(test, placement.gpus, now_s)
        for unit in hungry:
            unit.last, unit.hungry = True, False
            self._out.append(FeedUnit(unit.id, (), last=True))
        self._mind_foreign_memory(now_s)

    def _feed(self, unit: Unit, tests: tuple[int, ...]) -> None:
        unit.hungry = False
        unit.queue.extend(tests)
        unit.job = worker_job(unit.id, [self._test(each) for each in unit.queue])
        self._out.append(FeedUnit(unit.id, tests, last=False))

    def _start(self, test: RunTest, gpus: tuple[str, ...], now_s: float) -> None:
        number, self._next_unit = self._next_unit, self._next_unit + 1
        if test.in_worker:
            tests = self._helping(test.index)
            job = worker_job(number, [self._test(each) for each in tests])
        else:
            tests = self._pending.take(test.job.id)
            job = job_of([self._test(each) for each in tests])
        cards = self._cards.by_id()
        reserved = tuple(reserved_mib(job, cards[gpu]) for gpu in gpus)
        unit = Unit(
            id=number,
            job=job,
            gpus=gpus,
            reserved_mib=reserved,
            lane=self._free_lane(),
            started_s=now_s,
            queue=deque(tests),
            is_worker=test.in_worker,
            last=not test.in_worker,
        )
        self._units[number] = unit
        for other in filter(unit.shares_a_card_with, self._units.values()):
            other.had_company = True
        self._out.append(
            StartUnit(number, tests, unit.last, unit.lane, gpus, max(reserved, default=0))
        )

    def _helping(self, first: int) -> tuple[int, ...]:
        return self._pending.take_helping(first, self._cards.machine.slots)

    def _running(self, leaving_out: Sequence[Unit] = ()) -> list[Running]:
        out = {unit.id for unit in leaving_out}
        return [unit.as_running() for unit in self._units.values() if unit.id not in out]

    def _free_slots(self) -> int:
        used = sum(unit.job.cpus for unit in self._units.values() if unit.lives)
        return self._cards.machine.slots - used

    def _free_lane(self) -> int:
        taken = {unit.lane for unit in self._units.values() if unit.lives}
        lane = 0
        while lane in taken:
            lane += 1
        return lane

    def _mind_foreign_memory(self, now_s: float) -> None:
        """Give up on tests that only other processes' memory keeps from running, in the end."""
        if self._units or not self._pending:
            self._idle_since_s = None
            return
        if self._idle_since_s is None:
            self._idle_since_s = now_s
            self._out.append(Notify(self._cards.foreign_memory() + "; waiting for it to be freed"))
        elif now_s - self._idle_since_s >= FOREIGN_WAIT_S:
            reason = f"waited {FOREIGN_WAIT_S / 60:.0f} minutes for GPU memory: "
            for test in self._pending.take_all():
                self._ended.add(test)
                self._out.append(RefuseTest(test, reason + self._cards.foreign_memory()))

    def _test(self, test: int) -> RunTest:
        return self._pending.tests[test]
