"""The one rule of what fits: used by decisions, simulation, bounds and invariants alike. Pure.

On a card, with `load` the sum of what its jobs hold and what others hold on it (`foreign_mib`):

- a job in company may bring the load to `shared_cap_mib`;
- a job alone may bring it to `capacity_mib`;
- a job without a declaration (`vram_mib` None) or with `alone` needs a card that no other job is
  on, and lets nobody join; without a declaration it takes all that is free there.

A card whose first job exceeds the shared cap therefore takes no company.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tonnage.schedule.model import Gpu, Job, Machine, Running


@dataclass(slots=True)
class Card:
    """The state of one GPU. Memory is MiB."""

    gpu: Gpu
    load_mib: int
    jobs: int = 0
    is_closed: bool = False  # somebody on it wants no company
    kept_mib: int = 0  # kept for a job that waits, during one pass over the pending jobs

    def room_mib(self) -> int:
        """What the next job may take here; at most zero when there is no room for any."""
        if self.is_closed:
            return 0
        cap_mib = self.gpu.shared_cap_mib if self.jobs else self.gpu.capacity_mib
        return cap_mib - self.load_mib - self.kept_mib

    def takes(self, job: Job) -> bool:
        """Whether the job fits on this card now."""
        if self.is_closed:
            return False
        if (self.jobs or self.kept_mib) and (job.alone or job.vram_mib is None):
            return False
        if job.allowed_gpus is not None and self.gpu.id not in job.allowed_gpus:
            return False
        return job.vram_mib is None or job.vram_mib <= self.room_mib()

    def hold(self, job: Job, held_mib: int | None = None) -> int:
        """Put the job on the card; the MiB it holds there from now on."""
        if held_mib is None:
            held_mib = self.need_mib(job)
        self.jobs += 1
        self.load_mib += held_mib
        self.is_closed = self.is_closed or job.alone or job.vram_mib is None
        return held_mib

    def need_mib(self, job: Job) -> int:
        """What the job would hold here."""
        return self.gpu.capacity_mib - self.load_mib if job.vram_mib is None else job.vram_mib


class Free:
    """What is free on a machine while jobs run on it; placing and releasing change it."""

    def __init__(self, machine: Machine, running: Iterable[Running] = ()) -> None:
        self.cards = {gpu.id: Card(gpu, gpu.foreign_mib) for gpu in machine.gpus}
        self.slots = machine.slots
        self.memory_mib = machine.memory_mib
        self.exclusive: set[str] = set()
        for each in running:
            self.add(each)

    def add(self, running: Running) -> tuple[int, ...]:
        """Hold what a running job holds; MiB per GPU, its reservation where nothing is said."""
        job = running.job
        held = running.held_mib or (None,) * len(running.gpus)
        holds = tuple(
            self.cards[gpu].hold(job, held_mib)
            for gpu, held_mib in zip(running.gpus, held, strict=True)
        )
        self.slots -= job.cpus if running.slots_held is None else running.slots_held
        if running.slots_held != 0:
            self._take_rest(job)
        return holds

    def _take_rest(self, job: Job) -> None:
        if self.memory_mib is not None:
            self.memory_mib -= job.memory_mib
        self.exclusive |= job.exclusive

    def allows(self, job: Job) -> bool:
        """Whether everything but the GPUs is there for this job."""
        return (
            job.cpus <= self.slots
            and (self.memory_mib is None or job.memory_mib <= self.memory_mib)
            and not (job.exclusive and job.exclusive & self.exclusive)
        )

    def choose(self, job: Job) -> tuple[str, ...] | None:
        """Cards for the job, in machine order: those it fills best. None: not now."""
        if not self.allows(job):
            return None
        if not job.gpus:
            return ()
        fitting = [card for card in self.cards.values() if card.takes(job)]
        if len(fitting) < job.gpus:
            return None
        if len(fitting) > job.gpus:
            # Cards in use before idle ones, the fullest first: idle cards are for gangs and for
            # jobs that want no company. Sorting is stable, so ties go by machine order.
            fitting = sorted(fitting, key=lambda card: (not card.jobs, card.room_mib()))
            fitting = fitting[: job.gpus]
        chosen = {card.gpu.id for card in fitting}
        return tuple(gpu for gpu in self.cards if gpu in chosen)

    def place(self, job: Job, gpus: Sequence[str]) -> tuple[int, ...]:
        """Hold everything the job needs; MiB held per GPU, in the order of `gpus`."""
        self.slots -= job.cpus
        self._take_rest(job)
        return tuple(self.cards[gpu].hold(job) for gpu in gpus)

    def release(self, job: Job, gpus: Sequence[str], held_mib: Sequence[int]) -> None:
        """Take back what `place` gave. Cards with `alone` jobs have no other, so they reopen."""
        self.slots += job.cpus
        if self.memory_mib is not None:
            self.memory_mib += job.memory_mib
        self.exclusive -= job.exclusive
        for gpu, mib in zip(gpus, held_mib, strict=True):
            card = self.cards[gpu]
            card.jobs -= 1
            card.load_mib -= mib
            card.is_closed = False
