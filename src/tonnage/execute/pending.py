"""The tests that wait: as jobs for the scheduler, and as the helpings that workers take. Pure."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tonnage.execute.batches import batches_of, job_of
from tonnage.execute.jobs import RunTest
from tonnage.execute.status import WaitingNow
from tonnage.schedule.backlog import Backlog
from tonnage.schedule.estimate import estimate_s
from tonnage.schedule.explain import why_waiting
from tonnage.schedule.fit import Free
from tonnage.schedule.model import Job

# A worker's helping: enough to hide the round trip for its next one, little enough that the
# workers end together. Guided self-scheduling: a share of what is left, shrinking to one.
_LARGEST_HELPING = 16
_HELPINGS_LEFT_PER_SLOT = 4
_LONGEST_HELPING_S = 1.0
# An estimate that moves by less than this share is left as it was.
_SAME_ESTIMATE = 0.2


class Pending:
    """Tests that are in no unit and have not ended. `tests` are all of the run, by number."""

    def __init__(self, tests: Sequence[RunTest]) -> None:
        self.tests = list(tests)
        self.backlog = Backlog(())
        self._batches: dict[str, tuple[int, ...]] = {}  # by job
        self._job_of: dict[int, str] = {}  # the job that a test is part of
        self._shareable: deque[int] = deque()  # those for workers, and some that wait no more
        self._siblings: dict[str, list[int]] = {}  # cases of one function
        for test in tests:
            if not test.has_history:
                self._siblings.setdefault(test.function, []).append(test.index)
        self._taken_s: dict[str, list[float]] = {}  # by its cases that have ended
        self._learned_s: dict[str, float] = {}  # what the others were last estimated by

    def __len__(self) -> int:
        return len(self._job_of)

    def fill(self, tests: Sequence[RunTest]) -> None:
        """Have these wait, at the beginning of a run."""
        self.backlog = Backlog([self._file(batch) for batch in batches_of(tests).values()])
        self._shareable = deque(test.index for test in tests if test.in_worker)

    def add(self, batch: Sequence[RunTest]) -> None:
        """Have these wait, as one job."""
        self.backlog.add(self._file(batch))

    def put_back(self, tests: Iterable[int]) -> None:
        """Have tests that a unit did not begin wait again; those of a batch, together."""
        waiting = [self.tests[test] for test in sorted(tests)]
        for batch in batches_of(waiting).values():
            self.add(batch)
        self._shareable.extendleft(test.index for test in reversed(waiting) if test.in_worker)

    def add_alone(self, test: int) -> None:
        """Have a test wait once more, for cards that it shares with nobody."""
        job = replace(self.tests[test].job, alone=True)
        self.tests[test] = replace(self.tests[test], job=job, batch="", in_worker=False)
        self.add((self.tests[test],))

    def take(self, job_id: str) -> tuple[int, ...]:
        """The tests of a job, which wait no more."""
        tests = self._batches.pop(job_id)
        for test in tests:
            del self._job_of[test]
        self.backlog.discard(job_id)
        return tests

    def take_all(self) -> Iterator[int]:
        """Every test that waits, one after another; none waits afterwards."""
        for job in tuple(self.backlog):
            yield from self.take(job.id)

    # -------------------------------------------------------------- workers

    def next_shareable(self) -> RunTest | None:
        """The first test that waits for a worker."""
        while self._shareable:
            test = self.tests[self._shareable[0]]
            if test.index in self._job_of:
                return test
            self._shareable.popleft()
        return None

    def take_helping(self, first: int, slots: int) -> tuple[int, ...]:
        """What a worker gets next on a machine of so many slots: `first`, and some that follow."""
        size = math.ceil(len(self._shareable) / (_HELPINGS_LEFT_PER_SLOT * max(1, slots)))
        helping = [first]
        seconds = self.tests[first].job.estimate_s or 0.0
        self.take(str(first))
        while len(helping) < min(size, _LARGEST_HELPING):
            test = self.next_shareable()
            if test is None:
                break
            seconds += test.job.estimate_s or 0.0
            if seconds > _LONGEST_HELPING_S:
                break
            helping.append(test.index)
            self.take(test.job.id)
        return tuple(sorted(helping))

    # -------------------------------------------------------------- estimates

    def learn(self, test: int, duration_s: float) -> None:
        """Let cases that wait be estimated by those of the same function that have ended.

        Looked at anew each time their number has doubled, so that a function with ten thousand
        cases costs no more than its cases a few times over.
        """
        function = self.tests[test].function
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
            sibling = self.tests[index]
            if index in self._job_of:
                job = replace(sibling.job, estimate_s=new_s)
                self.tests[index] = replace(sibling, job=job)
                stale.add(self._job_of[index])
        for job_id in sorted(stale, key=int):
            self.add([self.tests[index] for index in self.take(job_id)])

    # -------------------------------------------------------------- words

    def waiting(self, free: Free) -> tuple[WaitingNow, ...]:
        """What waits for what, given what is free."""
        by_reason: dict[str, WaitingNow] = {}
        for group in sorted(self.backlog.groups, key=lambda group: group.head.order):
            why = why_waiting(group.head, free)
            first = self.tests[int(group.head.id)].node_id
            known = by_reason.get(why, WaitingNow(first, 0, why))
            count = sum(len(self._batches[job_id]) for job_id in group.jobs)
            by_reason[why] = replace(known, count=known.count + count)
        return tuple(by_reason.values())

    def _file(self, batch: Sequence[RunTest]) -> Job:
        """Note that these tests wait as one job; the job."""
        job = job_of(batch)
        self._batches[job.id] = tuple(test.index for test in batch)
        self._job_of.update((test.index, job.id) for test in batch)
        return job
