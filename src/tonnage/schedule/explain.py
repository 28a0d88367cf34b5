"""Why a pending job does not run yet, in words. Pure."""

from tonnage.schedule.fit import Free, wants_no_company
from tonnage.schedule.model import Job
from tonnage.units import format_gib, plural


def why_waiting(job: Job, free: Free) -> str:
    """What the job waits for on a machine where `free` is what is left."""
    if job.exclusive and not free.exclusive.isdisjoint(job.exclusive):
        return f"{', '.join(sorted(free.exclusive & job.exclusive))} is in use"
    if free.memory_mib is not None and job.memory_mib > free.memory_mib:
        return (
            f"needs {format_gib(job.memory_mib)} of host memory, "
            f"{format_gib(max(0, free.memory_mib))} are not in use"
        )
    if job.cpus > free.slots:
        return f"needs {plural(job.cpus, 'CPU slot')}, {max(0, free.slots)} free"
    if job.gpus and not free.fits(job):
        need_mib = job.vram_mib or 0
        roomy = sum(card.room_mib(job) >= need_mib for card in free.cards.values())
        wanted = "to itself" if wants_no_company(job) else f"with {format_gib(need_mib)}"
        return f"needs {plural(job.gpus, 'GPU')} {wanted}, {roomy} with room now"
    return "room is kept for a test before it"
