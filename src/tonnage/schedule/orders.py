"""The list orders that a decision tries: which pending job is looked at first. Pure.

Each is a rule that is best for some workloads; the decision simulates them and takes the one that
ends first (schedule.decide).
"""

from collections.abc import Callable
from dataclasses import dataclass

from tonnage.schedule.model import Job

# What a job without any estimate counts as when jobs are compared. Only the order depends on it.
UNKNOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """One rule.

    `key` sorts the pending jobs, smallest first. `reserves`: the first GPU job that does not fit
    keeps its cards from the jobs behind it as far as they would delay it. `spare_slots` are kept
    from jobs without a GPU while GPU jobs wait, so that one of those finds a slot when its memory
    comes free.
    """

    name: str
    key: Callable[[Job], tuple[float, ...]]
    reserves: bool = False
    spare_slots: int = 0


def length_s(job: Job) -> float:
    """The estimate, or what an unknown duration counts as."""
    return UNKNOWN_S if job.estimate_s is None else job.estimate_s


def _vram_mib(job: Job) -> float:
    return float("inf") if job.vram_mib is None or job.alone else job.vram_mib


def _longest(job: Job) -> tuple[float, ...]:
    return (not job.gpus, -length_s(job), -job.gpus, -_vram_mib(job), job.order)


def _largest(job: Job) -> tuple[float, ...]:
    return (not job.gpus, -job.gpus * _vram_mib(job), -length_s(job), job.order)


def _most_work(job: Job) -> tuple[float, ...]:
    area = job.gpus * _vram_mib(job) * max(length_s(job), 1e-9)
    return (not job.gpus, -area, -length_s(job), job.order)


def _widest(job: Job) -> tuple[float, ...]:
    return (not job.gpus, -job.gpus, -length_s(job), -_vram_mib(job), job.order)


def _plain_longest(job: Job) -> tuple[float, ...]:
    return (-length_s(job), not job.gpus, job.order)


LONGEST = Order("longest first", _longest)
ORDERS = (
    LONGEST,
    Order("longest first, reserving", _longest, reserves=True),
    Order("longest first, a spare slot", _longest, spare_slots=1),
    Order("most memory-time first", _most_work),
    Order("most memory-time first, reserving", _most_work, reserves=True),
    Order("largest first", _largest),
    Order("largest first, reserving", _largest, reserves=True),
    Order("widest first", _widest),
    Order("longest of all first", _plain_longest),
)
