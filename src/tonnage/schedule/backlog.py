"""The pending jobs, grouped by what they need, so that a decision looks at each need once. Pure."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tonnage.schedule.model import Job
from tonnage.schedule.orders import USUAL, Key

Shape = tuple[object, ...]


class Group:
    """Pending jobs that differ in name and order only: interchangeable for the scheduler.

    `kind` numbers what its jobs need besides the amount of memory (`vram_mib`, 0 when undeclared)
    and the duration. `head` is the first by order, `left` how many there are.
    """

    __slots__ = ("head", "jobs", "kind", "left", "shape", "vram_mib")

    def __init__(self, kind: int, shape: Shape, head: Job) -> None:
        self.kind = kind
        self.shape = shape
        self.vram_mib = head.vram_mib or 0
        self.head = head
        self.left = 0
        self.jobs: dict[str, Job] = {}


Entry = tuple[tuple[float, ...], str, Group]


class Backlog:
    """Pending jobs by shape; within a shape, in their order.

    It also counts how often the first in line was overtaken (`overtaken`): what bounds waiting.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs: dict[str, Job] = {}
        self._groups: dict[Shape, Group] = {}
        self._kinds: dict[Shape, int] = {}
        self._sorted: dict[Key, list[Entry]] = {}  # filled when first asked for, then kept
        self._groups_of_kind: Counter[int] = Counter()
        self._smallest_mib: dict[int, int] = {}
        self._overtaken: Counter[str] = Counter()
        self._gpu_jobs = 0
        for job in sorted(jobs, key=_place):
            self.add(job)
        self.sorted_by(USUAL.key)

    def add(self, job: Job) -> None:
        """One more pending job, in its place by order. One with the same id is replaced."""
        if job.id in self._jobs:
            self._remove(job.id)
        self._jobs[job.id] = job
        self._gpu_jobs += job.gpus > 0
        shape = shape_of(job)
        group = self._groups.get(shape)
        if group is None:
            group = self._new_group(shape, job)
        else:
            self._unfile(group)
        is_last = not group.jobs or _place(next(reversed(group.jobs.values()))) < _place(job)
        group.jobs[job.id] = job
        group.left += 1
        if not is_last:
            ordered = sorted(group.jobs.values(), key=_place)
            group.jobs = {each.id: each for each in ordered}
            group.head = ordered[0]
        self._file(group)

    def discard(self, job_id: str) -> None:
        """The job is pending no more; nothing happens if it was not."""
        job = self._jobs.get(job_id)
        if job is None:
            return
        first = self.first()
        if first is not job and _compete(job, first):
            self._overtaken[first.id] += 1
        self._remove(job_id)
        self._overtaken.pop(job_id, None)

    def first(self) -> Job:
        """The first in line; there must be one."""
        return self.sorted_by(USUAL.key)[0][2].head

    def overtaken(self) -> int:
        """How many jobs that need something of the same kind left before the first in line."""
        return self._overtaken[self.first().id]

    @property
    def gpu_jobs(self) -> int:
        """How many pending jobs need a GPU."""
        return self._gpu_jobs

    @property
    def groups(self) -> Iterable[Group]:
        """All groups, in no particular order."""
        return self._groups.values()

    def smallest_mib(self) -> Mapping[int, int]:
        """By each kind that is pending: no job of it needs less memory per GPU."""
        return self._smallest_mib

    def sorted_by(self, key: Key) -> Sequence[Entry]:
        """The groups as (key, id of the first job, group), sorted by `key` of their first job."""
        if key not in self._sorted:
            self._sorted[key] = sorted(
                (key(group.head), group.head.id, group) for group in self._groups.values()
            )
        return self._sorted[key]

    def alike(self, shape: Shape) -> Iterator[Job]:
        """The jobs of one shape, by order."""
        return iter(self._groups[shape].jobs.values())

    def copy(self) -> "Backlog":
        """Another backlog with the same jobs, which have waited as long."""
        other = Backlog(self)
        other._overtaken.update(self._overtaken)
        return other

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(sorted(self._jobs.values(), key=_place))

    def _new_group(self, shape: Shape, head: Job) -> Group:
        kind = self._kinds.setdefault(shape[2:], len(self._kinds))
        group = self._groups[shape] = Group(kind, shape, head)
        least_mib = self._smallest_mib.get(kind, group.vram_mib)
        self._smallest_mib[kind] = min(least_mib, group.vram_mib)
        self._groups_of_kind[kind] += 1
        return group

    def _remove(self, job_id: str) -> None:
        job = self._jobs.pop(job_id)
        self._gpu_jobs -= job.gpus > 0
        group = self._groups[shape_of(job)]
        if group.head.id != job_id:
            del group.jobs[job_id]
            group.left -= 1
            return
        self._unfile(group)
        del group.jobs[job_id]
        group.left -= 1
        if group.left:
            group.head = next(iter(group.jobs.values()))
            self._file(group)
            return
        del self._groups[group.shape]
        self._groups_of_kind[group.kind] -= 1
        if not self._groups_of_kind[group.kind]:
            del self._smallest_mib[group.kind]

    def _file(self, group: Group) -> None:
        for key, entries in self._sorted.items():
            insort(entries, (key(group.head), group.head.id, group))

    def _unfile(self, group: Group) -> None:
        for key, entries in self._sorted.items():
            del entries[bisect_left(entries, (key(group.head), group.head.id))]


def shape_of(job: Job) -> Shape:
    """What makes two jobs interchangeable: everything but name and order. Amounts come first."""
    return (
        job.vram_mib or 0,
        job.estimate_s,
        job.gpus,
        job.vram_mib is None,
        job.cpus,
        job.memory_mib,
        job.exclusive,
        job.allowed_gpus,
        job.alone,
    )


def _place(job: Job) -> tuple[int, str]:
    return job.order, job.id


def _compete(job: Job, other: Job) -> bool:
    """Whether the start of one may keep the other waiting.

    Slots do not count for a job that needs only one: it is first to get any that comes free.
    """
    return bool(
        (job.gpus and other.gpus)
        or other.cpus > 1
        or (job.memory_mib and other.memory_mib)
        or job.exclusive & other.exclusive
    )
