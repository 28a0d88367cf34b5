"""The one rule of what fits: used by decisions, simulation, bounds and invariants alike. Pure.

On a card, with the load what our jobs hold plus what other processes hold (`foreign_mib`):

- a job in company may bring the load to `shared_cap_mib`;
- a job alone may bring it to `capacity_mib`;
- a job with `alone`, or without a declaration (`vram_mib` None), needs a card that no other job is
  on, and lets nobody join; without a declaration it takes whatever others leave, which must be
  something.

A card whose first job exceeds the shared cap therefore takes no company, and foreign memory is
taken off both caps. A job that has ended counts as company until its memory is back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tonnage.schedule.model import Gpu, Job, Machine, Running


def reserved_mib(job: Job, gpu: Gpu) -> int:
    """What the job reserves on this GPU when it starts there."""
    if job.vram_mib is None:
        return max(0, gpu.capacity_mib - gpu.foreign_mib)
    return job.vram_mib


def wants_no_company(job: Job) -> bool:
    """Whether the job shares its cards with nobody."""
    return job.alone or job.vram_mib is None


@dataclass(slots=True)
class Card:
    """The state of one GPU. Memory is MiB."""

    gpu: Gpu
    load_mib: int
    jobs: int = 0
    is_closed: bool = False  # somebody on it wants no company
    kept_mib: int = 0  # kept for a job that waits, during one pass over the pending jobs

    def room_mib(self, job: Job) -> int:
        """The most that a job which differs from this one only in memory may take here.

        Negative: none such may start, however little it takes. An undeclared job takes what is
        there; for it, 0 means that it may start.
        """
        if self.is_closed or (job.allowed_gpus is not None and self.gpu.id not in job.allowed_gpus):
            return -1
        if self.jobs or self.kept_mib:
            if job.alone or job.vram_mib is None:
                return -1
            return self.gpu.shared_cap_mib - self.load_mib - self.kept_mib
        room_mib = self.gpu.capacity_mib - self.load_mib
        if job.vram_mib is None:
            return 0 if room_mib > 0 else -1
        return room_mib

    def could_take(self, job: Job) -> bool:
        """Whether the job would fit if none of ours were here."""
        if job.allowed_gpus is not None and self.gpu.id not in job.allowed_gpus:
            return False
        return max(1, job.vram_mib or 0) <= self.gpu.capacity_mib - self.gpu.foreign_mib

    def keep_for(self, job: Job) -> None:
        """Keep what a waiting job needs here from the jobs behind it."""
        self.kept_mib = (
            self.gpu.capacity_mib if wants_no_company(job) else max(1, job.vram_mib or 0)
        )


class Free:
    """What is free on a machine while jobs run on it; placing and releasing change it."""

    def __init__(self, machine: Machine, running: Iterable[Running] = ()) -> None:
        self.cards = {gpu.id: Card(gpu, gpu.foreign_mib) for gpu in machine.gpus}
        self._names = tuple(self.cards)
        self.slots = machine.slots
        self.memory_mib = machine.memory_mib
        self.exclusive: frozenset[str] = frozenset()
        for each in running:
            self._occupy(each.job, each.gpus, self.held_mib(each))
            self._take_rest(each.job, each.slots_held)

    def held_mib(self, running: Running) -> tuple[int, ...]:
        """What a running job holds on each of its GPUs: as told, else what it reserved."""
        return running.held_mib or tuple(
            reserved_mib(running.job, self.cards[gpu].gpu) for gpu in running.gpus
        )

    def allows(self, job: Job) -> bool:
        """Whether everything but the GPUs is there for this job."""
        return (
            job.cpus <= self.slots
            and (self.memory_mib is None or job.memory_mib <= self.memory_mib)
            and self.exclusive.isdisjoint(job.exclusive)
        )

    def largest_mib(self, job: Job) -> int:
        """The most memory per GPU with which a job otherwise like this one could start now.

        Negative: none such can. Jobs without a declaration and without a GPU count as 0.
        """
        if not self.allows(job):
            return -1
        if not job.gpus:
            return 0
        rooms = [card.room_mib(job) for card in self.cards.values()]
        if job.gpus > len(rooms):
            return -1
        if job.gpus == 1:
            return max(rooms)
        rooms.sort()
        return rooms[-job.gpus]

    def fits(self, job: Job) -> bool:
        """Whether the job could start now."""
        return (job.vram_mib or 0) <= self.largest_mib(job)

    def choose(self, job: Job) -> tuple[str, ...]:
        """Cards for the job, in machine order: those it fills best. It must fit (`fits`)."""
        if not job.gpus:
            return ()
        need_mib = job.vram_mib or 0
        # Cards in use before idle ones, the fullest first: idle cards are for gangs and for jobs
        # that want no company. The index breaks ties.
        fitting = [
            (not card.jobs, room_mib, index)
            for index, card in enumerate(self.cards.values())
            if (room_mib := card.room_mib(job)) >= need_mib
        ]
        if job.gpus == 1:
            return (self._names[min(fitting)[2]],)
        return tuple(
            self._names[index] for index in sorted(each[2] for each in sorted(fitting)[: job.gpus])
        )

    def place(self, job: Job, gpus: Sequence[str]) -> tuple[int, ...]:
        """Hold everything the job needs; MiB held per GPU, in the order of `gpus`."""
        held_mib = tuple(reserved_mib(job, self.cards[gpu].gpu) for gpu in gpus)
        self._occupy(job, gpus, held_mib)
        self._take_rest(job, None)
        return held_mib

    def keep_rest(self, job: Job) -> None:
        """Keep slots, host memory and exclusive resources for a waiting job; never given back."""
        self._take_rest(job, None)

    def release(
        self,
        job: Job,
        gpus: Sequence[str],
        held_mib: Sequence[int],
        slots_held: int | None = None,
    ) -> None:
        """Give back what a job held; one that had ended (`slots_held` 0) held only memory."""
        for gpu, mib in zip(gpus, held_mib, strict=True):
            card = self.cards[gpu]
            card.jobs -= 1
            card.load_mib -= mib
            card.is_closed = False  # a job that closes a card is the only one on it
        self.slots += job.cpus if slots_held is None else slots_held
        if slots_held != 0:
            if self.memory_mib is not None:
                self.memory_mib += job.memory_mib
            self.exclusive -= job.exclusive

    def _occupy(self, job: Job, gpus: Sequence[str], held_mib: Sequence[int]) -> None:
        for gpu, mib in zip(gpus, held_mib, strict=True):
            card = self.cards[gpu]
            card.jobs += 1
            card.load_mib += mib
            card.is_closed = card.is_closed or wants_no_company(job)

    def _take_rest(self, job: Job, slots_held: int | None) -> None:
        self.slots -= job.cpus if slots_held is None else slots_held
        if slots_held != 0:
            if self.memory_mib is not None:
                self.memory_mib -= job.memory_mib
            if job.exclusive:
                self.exclusive |= job.exclusive
