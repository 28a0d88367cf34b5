"""One pass over the pending jobs: start everything that fits now, in a given order. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tonnage.schedule.fit import Free
from tonnage.schedule.model import Job
from tonnage.schedule.orders import Order


@dataclass(slots=True)
class Group:
    """Pending jobs of one shape, in order, and how many of them have been started."""

    head: Job
    jobs: list[Job]
    started: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether all have been started."""
        return self.started >= len(self.jobs)


def start_all(
    groups: Iterable[Group], free: Free, order: Order
) -> Iterator[tuple[Job, tuple[str, ...], tuple[int, ...]]]:
    """Place what fits, one by one: the job, its GPUs, the MiB it holds on each.

    `groups` come sorted by `order`, those that need a GPU before those that do not.
    """
    failed: dict[tuple[object, ...], int] = {}
    kept: list[str] = []
    gpu_job_waits = False
    try:
        for group in groups:
            head = group.head
            # Of jobs that differ only in memory, one larger than one that did not fit does not.
            likes = (
                head.gpus,
                head.cpus,
                head.memory_mib,
                head.exclusive,
                head.alone,
                head.allowed_gpus,
                head.vram_mib is None,
            )
            least_failed = failed.get(likes)
            if least_failed is not None and (head.vram_mib or 0) >= least_failed:
                continue
            spare = order.spare_slots if gpu_job_waits and not head.gpus else 0
            while not group.is_empty:
                gpus = None if free.slots - spare < head.cpus else free.choose(head)
                if gpus is None:
                    failed[likes] = head.vram_mib or 0
                    if head.gpus:
                        gpu_job_waits = True
                        if order.reserves and not kept:
                            kept = _keep_for(head, free)
                    break
                job = group.jobs[group.started]
                group.started += 1
                yield job, gpus, free.place(job, gpus)
            if free.slots <= 0:
                return
    finally:
        for gpu in kept:
            free.cards[gpu].kept_mib = 0


def _keep_for(job: Job, free: Free) -> list[str]:
    """Keep the cards where this waiting job will probably fit first from the jobs behind it."""
    able = [
        card
        for card in free.cards.values()
        if (job.allowed_gpus is None or card.gpu.id in job.allowed_gpus)
        and (job.vram_mib is None or job.vram_mib <= card.gpu.capacity_mib)
    ]
    able.sort(key=lambda card: card.load_mib - card.gpu.capacity_mib)
    kept = able[: job.gpus]
    for card in kept:
        whole = job.vram_mib is None or job.alone
        card.kept_mib = card.gpu.capacity_mib if whole else job.vram_mib or 0
    return [card.gpu.id for card in kept]
