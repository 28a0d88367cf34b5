"""The policies that the packing benchmark compares with, as others run them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.model import Decision, Gpu, Job, Machine, Placement, Running


@dataclass
class Card:
    """One GPU under these policies: a whole card for the first test, the shared cap for more."""

    gpu: Gpu
    load_mib: int = 0
    tests: int = 0
    kept_mib: int = 0  # for the test that has reserved this card

    @property
    def cap_mib(self) -> int:
        return self.gpu.shared_cap_mib if self.tests or self.kept_mib else self.gpu.capacity_mib

    def fits(self, job: Job) -> bool:
        return self.load_mib + self.kept_mib + need_mib(job, self.gpu) <= self.cap_mib


def need_mib(job: Job, gpu: Gpu) -> int:
    """What the job would hold on the card; undeclared is all of it."""
    return gpu.capacity_mib if job.vram_mib is None else job.vram_mib


def first_fit_by_timeout(
    backlog: Backlog, running: Sequence[Running], machine: Machine, now_s: float
) -> Decision:
    """Longest timeout first, each where it fits, nothing kept for what does not."""
    jobs = sorted(backlog, key=lambda job: (-(job.estimate_s or 0.0), job.order))
    return Decision(_start(jobs, running, machine, reserves=False), "first fit by timeout")


def longest_first_with_reservation(
    backlog: Backlog, running: Sequence[Running], machine: Machine, now_s: float
) -> Decision:
    """Longest estimate first, GPU tests before fillers; the first that does not fit reserves.

    The estimate is a third of the timeout. Smaller tests may backfill the reserved cards only up
    to their cap less the need of the test that waits.
    """
    jobs = sorted(backlog, key=lambda job: (not job.gpus, -(job.estimate_s or 0.0), job.order))
    return Decision(_start(jobs, running, machine, reserves=True), "longest first, one reservation")


def _start(
    jobs: Sequence[Job], running: Sequence[Running], machine: Machine, *, reserves: bool
) -> tuple[Placement, ...]:
    cards = {gpu.id: Card(gpu, gpu.foreign_mib) for gpu in machine.gpus}
    slots = machine.slots - sum(each.job.cpus for each in running)
    for each in running:
        for gpu, held_mib in zip(each.gpus, each.held_mib, strict=True):
            cards[gpu].load_mib += held_mib
            cards[gpu].tests += 1
    placements: list[Placement] = []
    has_reserved = not reserves
    for job in jobs:
        if slots <= 0:
            break
        if job.cpus > slots:
            continue
        fitting = [card for card in cards.values() if card.fits(job)] if job.gpus else []
        if len(fitting) >= job.gpus:
            # The emptiest cards first.
            chosen = sorted(fitting, key=lambda card: card.load_mib)[: job.gpus]
            for card in chosen:
                card.load_mib += need_mib(job, card.gpu)
                card.tests += 1
            slots -= job.cpus
            ids = {card.gpu.id for card in chosen}
            placements.append(Placement(job, tuple(gpu for gpu in cards if gpu in ids)))
        elif not has_reserved:
            has_reserved = True
            for card in sorted(cards.values(), key=lambda card: card.load_mib)[: job.gpus]:
                card.kept_mib = need_mib(job, card.gpu)
    return tuple(placements)
