"""The state of a run: what happened goes in, what to do comes out. Pure: no clock, no process.

Every test is pending, in a unit, or ended, once. A *unit* is one test process: with one test (an
attempt in isolation), with the tests of a batch, or, as a worker, with a queue that is refilled
while it runs. A unit holds its resources from the moment it is started until its process has ended
and its GPU memory is back.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tonnage.execute.batches import batches_of, job_of
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
from tonnage.execute.status import RunningNow, RunStatus, WaitingNow
from tonnage.record.outcomes import Outcome
from tonnage.schedule.backlog import Backlog
from tonnage.schedule.bounds import unplaceable
from tonnage.schedule.decide import decide
from tonnage.schedule.estimate import estimate_s
from tonnage.schedule.explain import why_waiting
from tonnage.schedule.fit import Free, reserved_mib
from tonnage.schedule.model import Job, Machine, Running
from tonnage.schedule.simulate import predict_end_s

# A worker's helping: enough to hide the round trip for its next one, little enough that the
# workers end together. Guided self-scheduling: a share of what is left, shrinking to one.
_LARGEST_HELPING = 16
_HELPINGS_LEFT_PER_SLOT = 4
_LONGEST_HELPING_S = 1.0
# An estimate that moves by less than this share is left as it was.
_SAME_ESTIMATE = 0.2
# How long a finished test's GPU memory may take to come back before what remains counts as
# somebody else's. Drivers free asynchronously, usually within a few hundred milliseconds.
RELEASE_LIMIT_S = 10.0
# Memory that other processes hold may be waited for this long while nothing of ours runs.
FOREIGN_WAIT_S = 600.0


@dataclass(slots=True)
class _Unit:
    """One test process. Times are the caller's seconds."""

    id: int
    job: Job  # what it holds, as the scheduler sees it
    gpus: tuple[str, ...]
    reserved_mib: tuple[int, ...]
    lane: int
    started_s: float
    queue: deque[int]
    is_worker: bool
    last: bool
    measured_mib: dict[str, int] = field(default_factory=dict)
    strays: set[str] = field(default_factory=set)  # GPUs it uses without having been given them
    current: int | None = None
    began_s: float = 0.0
    slow_s: float = 0.0  # when the test in hand is next called slow, after its beginning
    had_company: bool = False  # the test in hand shared a GPU at some time
    ran_any: bool = False
    hungry: bool = False
    dropping: bool = False
    late: bool = False
    ended_s: float | None = None  # the process is gone; its memory may not be back


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
        self._tests = list(tests)
        self._batches: dict[str, tuple[int, ...]] = {}  # what is pending, by job
        self._job_of: dict[int, str] = {}  # the pending job that a test is part of
        self._siblings: dict[str, list[int]] = {}  # cases of one function
        for test in tests:
            if not test.has_history:
                self._siblings.setdefault(test.function, []).append(test.index)
        self._taken_s: dict[str, list[float]] = {}  # by its cases that have ended
        self._learned_s: dict[str, float] = {}  # what the others were last estimated by
        self._machine = machine
        self._foreign_mib = {gpu.id: gpu.foreign_mib for gpu in machine.gpus}  # as measured
        self._other_runs = NeighboursRead({}, {})
        self._timeout_grace_s = timeout_grace_s
        self._slow_after_s = slow_after_s
        self._backlog = Backlog(())
        self._shareable: deque[int] = deque()
        self._units: dict[int, _Unit] = {}
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
        return len(self._job_of)

    @property
    def is_over(self) -> bool:
        """Nothing runs, and nothing will be started."""
        return not self._units and (self._stopping or not self._backlog)

    def holds(self, unit: int) -> bool:
        """Whether this unit still has resources: it runs, or its memory is not back."""
        return unit in self._units

    @property
    def running(self) -> int:
        """Units whose process has not ended."""
        return sum(unit.ended_s is None for unit in self._units.values())

    @property
    def ended_everything(self) -> bool:
        """Whether the run was told to end what was running."""
        return self._ending_all

    def status(self) -> RunStatus:
        """What runs, what waits and for what."""
        running = [
            RunningNow(
                self._tests[unit.current].node_id,
                unit.began_s,
                unit.gpus,
                max(unit.reserved_mib, default=0),
                self._tests[unit.current].limit_s,
            )
            for unit in self._units.values()
            if unit.current is not None
        ]
        free = Free(self._machine, self._running(()))
        waiting: dict[str, WaitingNow] = {}  # by what they wait for
        for group in sorted(self._backlog.groups, key=lambda group: group.head.order):
            why = why_waiting(group.head, free)
            first = self._tests[int(group.head.id)].node_id
            known = waiting.get(why, WaitingNow(first, 0, why))
            count = sum(len(self._batches[job_id]) for job_id in group.jobs)
            waiting[why] = replace(known, count=known.count + count)
        return RunStatus(len(self._ended), running, tuple(waiting.values()))

    def reserved_mib(self) -> dict[str, int]:
        """What the run has set aside, by GPU."""
        total = dict.fromkeys((gpu.id for gpu in self._machine.gpus), 0)
        for unit in self._units.values():
            for gpu, held in zip(unit.gpus, self._held(unit), strict=True):
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
        return [unit.id for unit in self._units.values() if unit.ended_s is not None]

    def next_deadline_s(self) -> float | None:
        """When to come back with TimePassed though nothing happened; None: no need."""
        times = [
            unit.began_s + limit
            for unit in self._units.values()
            if unit.current is not None and not unit.late
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
        return predict_end_s(self._backlog, self._running(()), self._machine, now_s)

    # -------------------------------------------------------------- the run

    def begin(self, now_s: float) -> tuple[Instruction, ...]:
        """Refuse what can never run, before anything runs; then start the first tests."""
        placeable: list[RunTest] = []
        for test in self._tests:
            reason = test.problem or unplaceable(test.job, self._machine)
            if reason is None:
                placeable.append(test)
            else:
                self._ended.add(test.index)
                self._out.append(RefuseTest(test.index, reason))
        jobs = [self._file(batch) for batch in batches_of(placeable).values()]
        self._backlog = Backlog(jobs)
        self._shareable = deque(test.index for test in placeable if test.in_worker)
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
                self._put_back(tests)
            case UnitEnded(unit, out_of_memory):
                lost = Outcome.TIMEOUT if self._units[unit].late else Outcome.CRASHED
                self._unit_ended(self._units[unit], lost, out_of_memory, now_s)
                self._schedule(now_s)
            case AgentLost():
                for each in tuple(self._units.values()):
                    if each.ended_s is None:
                        self._unit_ended(each, Outcome.LOST, False, now_s)
            case MemoryRead():
                self._memory_read(happening)
                self._schedule(now_s)
            case NeighboursRead():
                self._other_runs = happening
                self._set_foreign()
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

    def _began(self, unit: _Unit, test: int, now_s: float) -> None:
        if test in unit.queue:
            unit.queue.remove(test)
        unit.current, unit.began_s, unit.ran_any = test, now_s, True
        unit.slow_s = self._slow_after_s
        unit.had_company = any(self._neighbours(unit))

    def _test_ended(self, unit: _Unit, test: int, out_of_memory: bool, now_s: float) -> None:
        unit.current = None
        if out_of_memory and self._retry_alone(unit, test):
            return
        self._ended.add(test)
        self._learn(test, now_s - unit.began_s)

    def _retry_alone(self, unit: _Unit, test: int) -> bool:
        """Try a test again, without company, if company may be why it ran out of memory."""
        if not unit.had_company or test in self._retried or self._stopping:
            return False
        self._retried.add(test)
        job = replace(self._tests[test].job, alone=True)
        self._tests[test] = replace(self._tests[test], job=job, batch="", in_worker=False)
        self._add((self._tests[test],))
        self._out.append(RetryAlone(unit.id, test))
        return True

    def _neighbours(self, unit: _Unit) -> Iterable[_Unit]:
        """The units that hold memory on one of this unit's GPUs."""
        return (
            other
            for other in self._units.values()
            if other is not unit and not set(other.gpus).isdisjoint(unit.gpus)
        )

    def _learn(self, test: int, duration_s: float) -> None:
        """Let cases that wait be estimated by those of the same function that have ended.

        Looked at anew each time their number has doubled, so that a function with ten thousand
        cases costs no more than its cases a few times over.
        """
        function = self._tests[test].function
        if len(self._siblings.get(function, ())) <= 1:
            return
        taken_s = self._taken_s.setdefault(function, [])
        taken_s.append(duration_s)
        if len(taken_s).bit_count() != 1:
            return
        new_s = estimate_s(taken_s, None)
        assert new_s is not None
        old_s = self._learned_s.get(function)
        if old_s is not None and abs(new_s - old_s) <= _SAME_ESTIMATE * old_s:
            return
        self._learned_s[function] = new_s
        stale: set[str] = set()
        for index in self._siblings[function]:
            sibling = self._tests[index]
            if index in self._job_of:
                job = replace(sibling.job, estimate_s=new_s)
                self._tests[index] = replace(sibling, job=job)
                stale.add(self._job_of[index])
        for job_id in sorted(stale, key=int):
            self._add([self._tests[index] for index in self._take(job_id)])

    # -------------------------------------------------------------- what is pending

    def _file(self, batch: Sequence[RunTest]) -> Job:
        """Note that these tests are pending as one job; the job."""
        job = job_of(batch)
        self._batches[job.id] = tuple(test.index for test in batch)
        self._job_of.update((test.index, job.id) for test in batch)
        return job

    def _add(self, batch: Sequence[RunTest]) -> None:
        self._backlog.add(self._file(batch))

    def _take(self, job_id: str) -> tuple[int, ...]:
        """The tests of a pending job, which is pending no more."""
        tests = self._batches.pop(job_id)
        for test in tests:
            del self._job_of[test]
        self._backlog.discard(job_id)
        return tests

    # -------------------------------------------------------------- units and their memory

    def _unit_ended(self, unit: _Unit, how: Outcome, out_of_memory: bool, now_s: float) -> None:
        lost = unit.current
        if lost is None and unit.queue and not unit.ran_any:
            # It ended before it began anything: its first test answers for that, or a process
            # that cannot start would be started for ever.
            lost = unit.queue.popleft()
        if lost is not None and not (out_of_memory and self._retry_alone(unit, lost)):
            self._ended.add(lost)
            going_on = 0 if unit.is_worker else len(unit.queue)
            self._out.append(TestLost(unit.id, lost, how, going_on))
        self._put_back(unit.queue)
        unit.queue.clear()
        unit.current = None
        if unit.gpus:
            unit.ended_s = now_s
        else:
            del self._units[unit.id]

    def _put_back(self, tests: Iterable[int]) -> None:
        """Have tests that a unit did not begin wait again; those of a batch, together."""
        waiting = [self._tests[test] for test in sorted(tests)]
        for batch in batches_of(waiting).values():
            self._add(batch)
        self._shareable.extendleft(test.index for test in reversed(waiting) if test.in_worker)

    def _memory_read(self, reading: MemoryRead) -> None:
        self._foreign_mib.update(reading.foreign_mib)
        for unit in tuple(self._units.values()):
            used = reading.by_unit.get(unit.id, {})
            untold = reading.untold.get(unit.id, ())
            # What a reading says nothing about stays as it was last seen, and reserved.
            unit.measured_mib = {
                gpu: unit.measured_mib.get(gpu, 0) if gpu in untold else used.get(gpu, 0)
                for gpu in unit.gpus
            }
            self._mind_strays(unit, used)
            if (
                unit.ended_s is not None
                and reading.at_s >= unit.ended_s
                and not untold
                and not any(unit.measured_mib.values())
            ):
                del self._units[unit.id]
        self._set_foreign()

    def _mind_strays(self, unit: _Unit, used: Mapping[str, int]) -> None:
        """Memory on a card that the unit was not given is nobody's reservation: it is foreign."""
        for gpu, mib in used.items():
            if mib and gpu not in unit.gpus and gpu in self._foreign_mib:
                self._foreign_mib[gpu] += mib
                if gpu not in unit.strays:
                    unit.strays.add(gpu)
                    self._out.append(MemoryStrayed(unit.id, gpu, mib))

    def _set_foreign(self) -> None:
        """Take off the cards what others hold, and what other runs may take any moment.

        Their figures may be older than the reading: what they reserved is theirs in any case.
        """
        others = self._other_runs
        self._machine = replace(
            self._machine,
            gpus=tuple(
                replace(
                    gpu,
                    foreign_mib=max(
                        others.reserved_mib.get(gpu.id, 0),
                        self._foreign_mib.get(gpu.id, 0) + others.unused_mib.get(gpu.id, 0),
                    ),
                )
                for gpu in self._machine.gpus
            ),
        )

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

    def _mind_time(self, unit: _Unit, test: int, elapsed_s: float) -> None:
        """Call a test slow, and again each time its time has doubled; end one that is late."""
        if elapsed_s >= unit.slow_s:
            while unit.slow_s <= elapsed_s:
                unit.slow_s *= 2
            self._out.append(TestSlow(unit.id, test, elapsed_s))
        limit_s = self._limit_s(test)
        if limit_s is not None and elapsed_s >= limit_s and not unit.late:
            unit.late = True
            self._out.append(EndUnit(unit.id, gently=True))

    def _limit_s(self, test: int) -> float | None:
        """Seconds until the supervisor ends a test that outlived its own deadline."""
        limit_s = self._tests[test].limit_s
        return None if limit_s is None else limit_s + self._timeout_grace_s

    def _stop(self, *, now: bool) -> None:
        self._stopping = True
        self._ending_all = self._ending_all or now
        for unit in self._units.values():
            if unit.ended_s is not None:
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
            if unit.hungry and not unit.last and unit.ended_s is None
        ]
        if self._backlog:
            # A hungry worker's slot counts as free: what is placed there goes to the worker if it
            # can, and otherwise the worker ends and makes room.
            decision = decide(self._backlog, self._running(hungry), self._machine, now_s)
            free_slots = self._free_slots()
            for placement in decision.placements:
                test = self._tests[int(placement.job.id)]
                if placement.job.id not in self._backlog:
                    # An earlier helping took it along; the place goes to the next such test.
                    following = self._next_shareable()
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

    def _feed(self, unit: _Unit, tests: tuple[int, ...]) -> None:
        unit.hungry = False
        unit.queue.extend(tests)
        unit.job = self._worker_job(unit.id, unit.queue)
        self._out.append(FeedUnit(unit.id, tests, last=False))

    def _start(self, test: RunTest, gpus: tuple[str, ...], now_s: float) -> None:
        number, self._next_unit = self._next_unit, self._next_unit + 1
        if test.in_worker:
            tests = self._helping(test.index)
            job = self._worker_job(number, tests)
        else:
            tests = self._take(test.job.id)
            job = job_of([self._tests[each] for each in tests])
        cards = {gpu.id: gpu for gpu in self._machine.gpus}
        reserved = tuple(reserved_mib(job, cards[gpu]) for gpu in gpus)
        unit = _Unit(
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
        for other in self._neighbours(unit):
            other.had_company = True
        self._out.append(
            StartUnit(number, tests, unit.last, unit.lane, gpus, max(reserved, default=0))
        )

    def _next_shareable(self) -> RunTest | None:
        while self._shareable:
            test = self._tests[self._shareable[0]]
            if test.index in self._job_of:
                return test
            self._shareable.popleft()
        return None

    def _helping(self, first: int) -> tuple[int, ...]:
        """The tests a worker gets next, `first` among them, taken out of the backlog."""
        size = math.ceil(
            len(self._shareable) / (_HELPINGS_LEFT_PER_SLOT * max(1, self._machine.slots))
        )
        helping = [first]
        seconds = self._tests[first].job.estimate_s or 0.0
        self._take(str(first))
        while len(helping) < min(size, _LARGEST_HELPING):
            test = self._next_shareable()
            if test is None:
                break
            seconds += test.job.estimate_s or 0.0
            if seconds > _LONGEST_HELPING_S:
                break
            helping.append(test.index)
            self._take(test.job.id)
        return tuple(sorted(helping))

    def _worker_job(self, unit: int, tests: Sequence[int] | deque[int]) -> Job:
        """How a worker looks to the scheduler: one slot, for as long as its queue lasts."""
        estimates = [self._tests[test].job.estimate_s for test in tests]
        known = [estimate for estimate in estimates if estimate is not None]
        return Job(
            id=f"worker {unit}",
            order=-unit,
            estimate_s=sum(known) if len(known) == len(estimates) else None,
        )

    def _running(self, leaving_out: Sequence[_Unit]) -> list[Running]:
        out = {unit.id for unit in leaving_out}
        return [
            Running(
                job=unit.job,
                gpus=unit.gpus,
                started_s=unit.started_s,
                held_mib=self._held(unit),
                slots_held=None if unit.ended_s is None else 0,
            )
            for unit in self._units.values()
            if unit.id not in out
        ]

    def _held(self, unit: _Unit) -> tuple[int, ...]:
        return tuple(
            max(reserved, unit.measured_mib.get(gpu, 0))
            for gpu, reserved in zip(unit.gpus, unit.reserved_mib, strict=True)
        )

    def _free_slots(self) -> int:
        used = sum(unit.job.cpus for unit in self._units.values() if unit.ended_s is None)
        return self._machine.slots - used

    def _free_lane(self) -> int:
        taken = {unit.lane for unit in self._units.values() if unit.ended_s is None}
        lane = 0
        while lane in taken:
            lane += 1
        return lane

    def _mind_foreign_memory(self, now_s: float) -> None:
        """Give up on tests that only other processes' memory keeps from running, in the end."""
        if self._units or not self._backlog:
            self._idle_since_s = None
            return
        if self._idle_since_s is None:
            self._idle_since_s = now_s
            self._out.append(Notify(self._foreign_memory() + "; waiting for it to be freed"))
        elif now_s - self._idle_since_s >= FOREIGN_WAIT_S:
            reason = f"waited {FOREIGN_WAIT_S / 60:.0f} minutes for GPU memory: "
            for job in tuple(self._backlog):
                for test in self._take(job.id):
                    self._ended.add(test)
                    self._out.append(RefuseTest(test, reason + self._foreign_memory()))

    def _foreign_memory(self) -> str:
        held = [
            f"{gpu.foreign_mib / 1024:.1f} GiB of {gpu.id}"
            for gpu in self._machine.gpus
            if gpu.foreign_mib
        ]
        return f"processes outside this run hold {', '.join(held)}"
