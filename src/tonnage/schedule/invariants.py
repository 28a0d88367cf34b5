"""What must be true of any schedule at any time, in one place. Pure."""

from collections.abc import Sequence

from tonnage.schedule.fit import reserved_mib, wants_no_company
from tonnage.schedule.model import Machine, Running


class InvariantError(AssertionError):
    """The scheduler promised more than there is: a bug of ours."""


def check_budgets(running: Sequence[Running], machine: Machine) -> None:
    """Raise InvariantError when more of anything is promised than the machine has.

    Only reservations count: a test that uses more than it declared is its own fault, not the
    scheduler's. Foreign memory in `machine` must be what it was when the jobs started.
    """
    slots = sum(each.job.cpus if each.slots_held is None else each.slots_held for each in running)
    _require(slots <= machine.slots, f"{slots} slots of {machine.slots} are taken")
    alive = [each.job for each in running if each.slots_held != 0]
    if machine.memory_mib is not None:
        memory_mib = sum(job.memory_mib for job in alive)
        _require(memory_mib <= machine.memory_mib, f"{memory_mib} MiB of host memory are taken")
    names = [name for job in alive for name in job.exclusive]
    _require(len(names) == len(set(names)), f"an exclusive resource is held twice: {names}")
    for each in running:
        _require(len(set(each.gpus)) == len(each.gpus), f"{each.job.id} has a GPU twice")
        _require(len(each.gpus) == each.job.gpus, f"{each.job.id} has {len(each.gpus)} GPUs")
        allowed = each.job.allowed_gpus
        _require(allowed is None or allowed.issuperset(each.gpus), f"{each.job.id}: wrong card")
    for gpu in machine.gpus:
        here = [each.job for each in running if gpu.id in each.gpus]
        load_mib = gpu.foreign_mib + sum(reserved_mib(job, gpu) for job in here)
        cap_mib = gpu.shared_cap_mib if len(here) > 1 else gpu.capacity_mib
        _require(not here or load_mib <= cap_mib, f"{load_mib} of {cap_mib} MiB on {gpu.id}")
        _require(
            len(here) < 2 or not any(wants_no_company(job) for job in here),
            f"a job that wants no company has some on {gpu.id}",
        )


def _require(is_true: bool, message: str) -> None:
    if not is_true:
        raise InvariantError(message)
