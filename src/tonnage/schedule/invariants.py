"""What must be true of any schedule at any time, in one place. Pure."""

from collections.abc import Sequence

from tonnage.schedule.model import Machine, Running


class InvariantError(AssertionError):
    """The scheduler promised more than there is: a bug of ours."""


def check_budgets(running: Sequence[Running], machine: Machine) -> None:
    """Raise InvariantError when what runs takes more of anything than the machine has."""
    slots = sum(each.job.cpus if each.slots_held is None else each.slots_held for each in running)
    _require(slots <= machine.slots, f"{slots} slots of {machine.slots} are taken")
    alive = [each for each in running if each.slots_held != 0]
    if machine.memory_mib is not None:
        memory_mib = sum(each.job.memory_mib for each in alive)
        _require(memory_mib <= machine.memory_mib, f"{memory_mib} MiB of host memory are taken")
    names = [name for each in alive for name in each.job.exclusive]
    _require(len(names) == len(set(names)), f"an exclusive resource is held twice: {names}")
    for each in running:
        _require(len(set(each.gpus)) == len(each.gpus), f"{each.job.id} has a GPU twice")
        _require(len(each.gpus) == each.job.gpus, f"{each.job.id} has {len(each.gpus)} GPUs")
        allowed = each.job.allowed_gpus
        _require(allowed is None or allowed.issuperset(each.gpus), f"{each.job.id}: wrong card")
    for gpu in machine.gpus:
        here = [
            (each.job, mib)
            for each in running
            for name, mib in zip(each.gpus, each.held_mib, strict=True)
            if name == gpu.id
        ]
        load_mib = gpu.foreign_mib + sum(mib for _, mib in here)
        cap_mib = gpu.shared_cap_mib if len(here) > 1 else gpu.capacity_mib
        _require(not here or load_mib <= cap_mib, f"{load_mib} of {cap_mib} MiB on {gpu.id}")
        alone = any(job.alone or job.vram_mib is None for job, _ in here)
        _require(not alone or len(here) == 1, f"a job that wants no company has some on {gpu.id}")


def _require(is_true: bool, message: str) -> None:
    if not is_true:
        raise InvariantError(message)
