"""What no schedule can beat, and what no machine like this can run. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tonnage.schedule.model import Gpu, Job, Machine
from tonnage.units import format_gib, plural


@dataclass(frozen=True, slots=True)
class LowerBound:
    """No schedule ends before `seconds`; `resource` is what sets that limit, in words."""

    seconds: float
    resource: str


def lower_bound(
    jobs: Iterable[Job], machine: Machine, durations_s: Mapping[str, float] | None = None
) -> LowerBound:
    """The largest of the bounds that each resource sets on its own.

    Durations are the jobs' estimates unless given; a job with none adds nothing. Every bound is
    work divided by capacity: of slots, of memory, of cards for jobs of which only so many fit on
    one card (the classic dual feasible bound of bin packing), of one exclusive resource.
    """
    timed = [
        (job, duration) for job in jobs if (duration := _duration_s(job, durations_s)) is not None
    ]
    bounds = [LowerBound(0.0, "nothing known")]
    if timed:
        longest = max(timed, key=lambda pair: pair[1])
        bounds.append(LowerBound(longest[1], "the longest test"))
    slots_s = sum(duration * job.cpus for job, duration in timed) / machine.slots
    bounds.append(LowerBound(slots_s, plural(machine.slots, "CPU slot")))
    if machine.memory_mib:
        memory_s = sum(duration * job.memory_mib for job, duration in timed)
        bounds.append(LowerBound(memory_s / machine.memory_mib, "host memory"))
    names = sorted({name for job, _ in timed for name in job.exclusive})
    for name in names:
        held_s = sum(duration for job, duration in timed if name in job.exclusive)
        bounds.append(LowerBound(held_s, f'the exclusive resource "{name}"'))
    bounds.extend(_gpu_bounds(timed, machine))
    return max(bounds, key=lambda bound: bound.seconds)


def unplaceable(job: Job, machine: Machine) -> str | None:
    """Why this job can never run on this machine, even alone; None when it can."""
    if job.cpus > machine.slots:
        return f"needs {job.cpus} CPU slots, this run has {machine.slots}"
    if machine.memory_mib is not None and job.memory_mib > machine.memory_mib:
        return (
            f"needs {format_gib(job.memory_mib)} of host memory, "
            f"this machine has {format_gib(machine.memory_mib)}"
        )
    if not job.gpus:
        return None
    if job.gpus > len(machine.gpus):
        return f"needs {plural(job.gpus, 'GPU')}, this machine has {len(machine.gpus) or 'none'}"
    allowed = [gpu for gpu in machine.gpus if _is_allowed(job, gpu)]
    if job.gpus > len(allowed):
        return (
            f"needs {plural(job.gpus, 'GPU')} of the kind its marks name, "
            f"this machine has {len(allowed) or 'none'}"
        )
    able = [gpu for gpu in allowed if (job.vram_mib or 0) <= gpu.capacity_mib]
    if job.gpus > len(able):
        largest = max(gpu.capacity_mib for gpu in allowed)
        if not able:
            return (
                f"needs {format_gib(job.vram_mib or 0)} on one GPU, "
                f"the largest here has {format_gib(largest)}"
            )
        return (
            f"needs {format_gib(job.vram_mib or 0)} on each of {job.gpus} GPUs, "
            f"only {len(able)} here {'has' if len(able) == 1 else 'have'} that much"
        )
    return None


def _duration_s(job: Job, durations_s: Mapping[str, float] | None) -> float | None:
    return job.estimate_s if durations_s is None else durations_s[job.id]


def _is_allowed(job: Job, gpu: Gpu) -> bool:
    return job.allowed_gpus is None or gpu.id in job.allowed_gpus


def _gpu_bounds(timed: list[tuple[Job, float]], machine: Machine) -> Iterable[LowerBound]:
    on_gpus = [(job, duration) for job, duration in timed if job.gpus]
    if not on_gpus or not machine.gpus:
        return
    area = sum(duration * job.gpus * _least_share_mib(job, machine) for job, duration in on_gpus)
    total_mib = sum(gpu.shared_cap_mib for gpu in machine.gpus)
    if total_mib:
        yield LowerBound(area / total_mib, "GPU memory")
    for company in (1, 2, 3):
        # Of jobs that take more than 1/(company + 1) of any card, `company` fit on one.
        crowding_s = sum(
            duration * job.gpus
            for job, duration in on_gpus
            if all(
                job.vram_mib is None
                or job.alone
                or job.vram_mib * (company + 1) > gpu.shared_cap_mib
                for gpu in machine.gpus
            )
        )
        seconds = crowding_s / (company * len(machine.gpus))
        yield LowerBound(
            seconds, "tests too large to share a GPU" if company == 1 else "GPU memory"
        )


def _least_share_mib(job: Job, machine: Machine) -> int:
    """The least of a shared cap the job takes on any card; one beyond the cap takes all of it."""
    able = [
        gpu
        for gpu in machine.gpus
        if _is_allowed(job, gpu) and (job.vram_mib or 0) <= gpu.capacity_mib
    ]
    whole = job.vram_mib is None or job.alone
    return min(
        (
            gpu.shared_cap_mib if whole else min(job.vram_mib or 0, gpu.shared_cap_mib)
            for gpu in able
        ),
        default=0,
    )
