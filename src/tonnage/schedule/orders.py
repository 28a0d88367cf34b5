"""The list orders that a decision tries: which pending job is looked at first. Pure.

Each is a rule that is best for some workloads; the decision plays them and takes the one that ends
first (schedule.decide). All put jobs that need a GPU before those that do not: the latter fit in
anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tonnage.schedule.model import Job

Key = Callable[[Job], tuple[float, ...]]

# What a job without any estimate counts as when jobs are compared. Only the order depends on it.
UNKNOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """One rule.

    `key` sorts the pending jobs, smallest first. `reserves`: the first GPU job that does not fit
    keeps its cards from the jobs behind it as far as they would delay it.
    """

    name: str
    key: Key
    reserves: bool = False


def length_s(job: Job) -> float:
    """The estimate, or what an unknown duration counts as."""
    return UNKNOWN_S if job.estimate_s is None else job.estimate_s


def longest(job: Job) -> tuple[float, ...]:
    """The longest first: the usual rule against a long last job."""
    return (not job.gpus, -length_s(job), -job.gpus, -_vram_mib(job), job.order)


def largest(job: Job) -> tuple[float, ...]:
    """The most memory over all its GPUs first: small ones fill what remains."""
    return (not job.gpus, -job.gpus * _vram_mib(job), -length_s(job), job.order)


def most_work(job: Job) -> tuple[float, ...]:
    """The most memory times duration first."""
    area = job.gpus * _vram_mib(job) * max(length_s(job), 1e-9)
    return (not job.gpus, -area, -length_s(job), job.order)


def widest(job: Job) -> tuple[float, ...]:
    """The most GPUs at once first."""
    return (not job.gpus, -job.gpus, -length_s(job), -_vram_mib(job), job.order)


def _vram_mib(job: Job) -> float:
    return float("inf") if job.vram_mib is None or job.alone else job.vram_mib


LONGEST = Order("longest first", longest)
ORDERS = (
    LONGEST,
    Order("most memory-time first", most_work),
    Order("longest first, reserving", longest, reserves=True),
    Order("largest first", largest),
    Order("most memory-time first, reserving", most_work, reserves=True),
    Order("widest first", widest),
    Order("largest first, reserving", largest, reserves=True),
)
