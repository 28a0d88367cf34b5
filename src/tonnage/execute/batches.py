"""Batches: tests that share one process, in order, and so start as one job. Pure.

Only tests that see the same number and kind of GPUs share one: a test that needs no GPU must not
see the card of its neighbour.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tonnage.execute.jobs import RunTest
from tonnage.schedule.model import Job


def batches_of(tests: Iterable[RunTest]) -> dict[str, tuple[RunTest, ...]]:
    """The tests by the id of the job they start as; a test without company is a batch of one."""
    together: dict[object, list[RunTest]] = {}
    for test in tests:
        key = (test.batch, test.job.gpus, test.job.allowed_gpus) if test.batch else test.index
        together.setdefault(key, []).append(test)
    return {batch[0].job.id: tuple(batch) for batch in together.values()}


def job_of(batch: Sequence[RunTest]) -> Job:
    """The job of a batch: it needs at any time what the most demanding of its tests needs.

    It takes as long as all together, which is unknown when the length of one is.
    """
    first, *others = (test.job for test in batch)
    if not others:
        return first
    jobs = (first, *others)
    declared_mib = [job.vram_mib for job in jobs if job.vram_mib is not None]
    known_s = [job.estimate_s for job in jobs if job.estimate_s is not None]
    return replace(
        first,
        vram_mib=max(declared_mib) if len(declared_mib) == len(jobs) else None,
        cpus=max(job.cpus for job in jobs),
        memory_mib=max(job.memory_mib for job in jobs),
        exclusive=frozenset().union(*(job.exclusive for job in jobs)),
        estimate_s=sum(known_s) if len(known_s) == len(jobs) else None,
        alone=any(job.alone for job in jobs),
    )
