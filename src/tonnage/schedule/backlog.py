"""The pending jobs, grouped by what they need, so that a decision looks at each need once. Pure."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from tonnage.schedule.model import Job

Shape = tuple[object, ...]
Key = Callable[[Job], tuple[float, ...]]


def shape_of(job: Job) -> Shape:
    """What makes two jobs interchangeable for the scheduler: everything but name and order."""
    return (
        job.gpus,
        job.vram_mib,
        job.cpus,
        job.memory_mib,
        job.exclusive,
        job.allowed_gpus,
        job.estimate_s,
        job.alone,
    )


class Backlog:
    """Pending jobs by shape; within a shape, in their order."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs: dict[str, Job] = {}
        self._shapes: dict[Shape, dict[str, Job]] = {}
        self._sorted: dict[Key, list[Shape]] = {}  # valid until a new shape comes
        for job in jobs:
            self.add(job)

    def add(self, job: Job) -> None:
        """One more pending job. One that comes back goes to its place by order again."""
        self._jobs[job.id] = job
        shape = shape_of(job)
        if shape not in self._shapes:
            self._shapes[shape] = {}
            self._sorted.clear()
        group = self._shapes[shape]
        is_late = bool(group) and next(reversed(group.values())).order > job.order
        group[job.id] = job
        if is_late:
            ordered = sorted(group.values(), key=lambda each: each.order)
            group.clear()
            group.update((each.id, each) for each in ordered)

    def discard(self, job_id: str) -> None:
        """The job is pending no more; nothing happens if it was not."""
        job = self._jobs.pop(job_id, None)
        if job is None:
            return
        shape = shape_of(job)
        group = self._shapes[shape]
        del group[job_id]
        if not group:
            del self._shapes[shape]

    def groups(self) -> list[list[Job]]:
        """The jobs of each shape, in order."""
        return [list(group.values()) for group in self._shapes.values()]

    def heads(self) -> Iterator[tuple[Job, int]]:
        """The first job of each shape, and how many of that shape there are."""
        for group in self._shapes.values():
            yield next(iter(group.values())), len(group)

    def first_of(self, job: Job, count: int) -> list[Job]:
        """The first `count` jobs of the same shape as `job`."""
        return list(islice(self._shapes[shape_of(job)].values(), count))

    def in_order(self, key: Key, limit: int) -> Iterator[list[Job]]:
        """At most `limit` jobs of each shape; shapes sorted by `key` of their first job."""
        if key not in self._sorted:
            heads = [
                (key(next(iter(group.values()))), shape) for shape, group in self._shapes.items()
            ]
            self._sorted[key] = [shape for _, shape in sorted(heads, key=lambda pair: pair[0])]
        for shape in self._sorted[key]:
            group = self._shapes.get(shape)
            if group:
                yield list(islice(group.values(), limit))

    def copy(self) -> "Backlog":
        """Another backlog with the same jobs."""
        return Backlog(self)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(sorted(self._jobs.values(), key=lambda job: job.order))
