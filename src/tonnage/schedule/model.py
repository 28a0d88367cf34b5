"""The scheduler's values: jobs, GPUs, what runs, what to start.

A job is whatever starts as one: usually one test. Memory is whole MiB, time is seconds.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Job:
    """Something to run. `vram_mib` is per GPU; None: all that others leave of a card, alone.

    `gpus` = 0 with `vram_mib` = 0 is a CPU job (a *filler*). `order` is the collection order and
    breaks every tie. `allowed_gpus` None: any. `alone`: no company on its cards.
    `estimate_s` None: duration unknown.
    """

    id: str
    order: int
    gpus: int = 0
    vram_mib: int | None = 0
    cpus: int = 1
    memory_mib: int = 0
    exclusive: frozenset[str] = frozenset()
    allowed_gpus: frozenset[str] | None = None
    estimate_s: float | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card. A job alone on it may use `capacity_mib`; company together `shared_cap_mib`.

    `foreign_mib` is held by processes outside the run and is taken off both (schedule.fit).
    """

    id: str
    capacity_mib: int
    shared_cap_mib: int
    foreign_mib: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """What jobs share. `slots` counts CPU slots; `memory_mib` None: host memory is not limited."""

    gpus: tuple[Gpu, ...]
    slots: int
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A job that holds its resources now.

    `held_mib` per GPU is the larger of what was reserved and what was measured, in the order of
    `gpus`; empty: what was reserved. `slots_held` is 0 for a job that has ended and waits for its
    VRAM to come back, else None: as many as the job needs.
    """

    job: Job
    gpus: tuple[str, ...]
    started_s: float
    held_mib: tuple[int, ...] = ()
    slots_held: int | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """A decision: this job, now, on these GPUs (distinct, ascending in machine order)."""

    job: Job
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to start now. `order` names the list order that won the lookahead."""

    placements: tuple[Placement, ...]
    order: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """A simulated run: job id to (start, end, GPUs), and when the last job ended."""

    spans: dict[str, tuple[float, float, tuple[str, ...]]] = field(default_factory=dict)
    makespan_s: float = 0.0
