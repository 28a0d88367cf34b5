"""Whether this process can be forked and its children still use a GPU: by facts, not opinions.

A CUDA context does not survive a fork, and neither does a thread. What tells is the process's
own open files: initialising CUDA opens /dev/nvidia-uvm (it fails without) and keeps it open, ROCm
does the same with /dev/kfd, a simulated context holds its file in the ledger. Asking NVML for
readings opens /dev/nvidiactl and the cards themselves, which is harmless. Memory maps would tell
nothing more, and reading those of a process with a large framework takes milliseconds.
"""

import os
from collections.abc import Iterable

from tonnage.devices.ledger import CONTEXT_PREFIX

_DRIVER_FILES = {
    "/dev/nvidia-uvm": "CUDA is initialised (/dev/nvidia-uvm is open)",
    "/dev/kfd": "ROCm is initialised (/dev/kfd is open)",
    # Under WSL even NVML goes this way: what cannot be told apart counts as the worse.
    "/dev/dxg": "the GPU driver of WSL is in use (/dev/dxg is open)",
}


def fork_hazards(fd_targets: Iterable[str], thread_count: int) -> tuple[str, ...]:
    """Reasons not to fork, as clauses for a sentence; empty when forking is safe. Pure.

    `fd_targets` are what the process's open descriptors point at.
    """
    hazards: dict[str, None] = {}
    for target in fd_targets:
        if target in _DRIVER_FILES:
            hazards[_DRIVER_FILES[target]] = None
        elif CONTEXT_PREFIX in target and target.rpartition("/")[2].startswith(CONTEXT_PREFIX):
            hazards["a simulated GPU is in use"] = None
    if thread_count > 1:
        hazards[f"{thread_count} threads are running"] = None
    return tuple(hazards)


def current_hazards() -> tuple[str, ...]:
    """Reasons not to fork this process now. Cheap enough to ask after every import.

    Empty where the system has no /proc: there is no CUDA there either.
    """
    try:
        targets = _own_fd_targets()
        thread_count = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:
        return ()
    return fork_hazards(targets, thread_count)


def uses_gpu() -> bool:
    """Whether this process has begun to use a GPU. Having begun, a process never quite ends it."""
    try:
        return bool(fork_hazards(_own_fd_targets(), 1))
    except OSError:
        return False


def _own_fd_targets() -> list[str]:
    targets = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            targets.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115
        except OSError:
            pass  # the descriptor of this very listing
    return targets
