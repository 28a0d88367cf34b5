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
# What a job that takes a whole card counts as where its memory is multiplied: more than any has.
_WHOLE_MIB = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Order:
    """One rule: `key` sorts the pending jobs, smallest first."""

    name: str
    key: Key


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
    return (not job.gpus, -_work(job, 1), -length_s(job), job.order)


def large_and_long(job: Job) -> tuple[float, ...]:
    """Between the two: memory counts twice."""
    return (not job.gpus, -_work(job, 2), -length_s(job), job.order)


def widest(job: Job) -> tuple[float, ...]:
    """The most GPUs at once first."""
    return (not job.gpus, -job.gpus, -length_s(job), -_vram_mib(job), job.order)


def _work(job: Job, weight: int) -> float:
    """Memory, to the power of `weight`, times duration."""
    mib = job.gpus * min(_vram_mib(job), _WHOLE_MIB)
    return float(mib**weight * max(length_s(job), 1e-9))


def _vram_mib(job: Job) -> float:
    if not job.gpus:
        return 0.0
    return float("inf") if job.vram_mib is None or job.alone else job.vram_mib


# The best alone: for ties, for what is too much to play, and for who is first in line.
USUAL = Order("large and long first", large_and_long)
ORDERS = (
    USUAL,
    Order("most memory-time first", most_work),
    Order("longest first", longest),
    Order("largest first", largest),
    Order("widest first", widest),
)
