"""A unit, one test process: what it runs and what it holds. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tonnage.execute.jobs import RunTest
from tonnage.schedule.model import Job, Running


@dataclass(slots=True)
class Unit:
    """One test process. Times are the caller's seconds; memory is MiB, by GPU.

    It holds its slots until its process has ended (`ended_s`), and its GPU memory until that is
    back.
    """

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
    late: int | None = None  # the test that has outlived its time: the unit is being ended
    ended_s: float | None = None

    @property
    def lives(self) -> bool:
        """Whether its process has not ended."""
        return self.ended_s is None

    def shares_a_card_with(self, other: "Unit") -> bool:
        """Whether both hold memory on one GPU."""
        return other is not self and not set(other.gpus).isdisjoint(self.gpus)

    def held_mib(self) -> tuple[int, ...]:
        """What it keeps from others on each of its GPUs: its reservation, or more if it took it."""
        return tuple(
            max(reserved, self.measured_mib.get(gpu, 0))
            for gpu, reserved in zip(self.gpus, self.reserved_mib, strict=True)
        )

    def as_running(self) -> Running:
        """The unit as the scheduler sees it."""
        return Running(
            job=self.job,
            gpus=self.gpus,
            started_s=self.started_s,
            held_mib=self.held_mib(),
            slots_held=None if self.lives else 0,
        )


def worker_job(unit: int, tests: Sequence[RunTest]) -> Job:
    """How a worker looks to the scheduler: one slot, for as long as its queue lasts."""
    estimates_s = [test.job.estimate_s for test in tests]
    known_s = [estimate for estimate in estimates_s if estimate is not None]
    return Job(
        id=f"worker {unit}",
        order=-unit,
        estimate_s=sum(known_s) if len(known_s) == len(estimates_s) else None,
    )
