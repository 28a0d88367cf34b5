"""Host memory: how much this process may really use, and whether it ran out."""

from pathlib import Path

from tonnage.devices.cgroups import cgroup_directories, lines_of
from tonnage.units import mib_from_bytes


def host_memory_mib(root: Path = Path("/")) -> int | None:
    """The smallest of the machine's memory and the limits of all enclosing cgroups, in MiB.

    None where the system does not say. `root` is where /proc and /sys are found.
    """
    limits = [
        limit
        for directory in cgroup_directories(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (limit := _bytes(next(iter(lines_of(directory / name)), ""))) is not None
    ]
    for line in lines_of(root / "proc/meminfo"):
        name, _, amount = line.partition(":")
        if name == "MemTotal":
            limits.append(int(amount.split()[0]) * 1024)
    return mib_from_bytes(min(limits)) if limits else None


def oom_kills(root: Path = Path("/"), group: Path | None = None) -> int | None:
    """How many processes the kernel has killed here for want of host memory, ever.

    Counted for `group` and those below it where the kernel counts there, else for this process's
    cgroup, else for the whole machine; None where the system does not say.
    """
    files = [
        directory / name
        for directory in (*filter(None, (group,)), *cgroup_directories(root, "memory"))
        for name in ("memory.events", "memory.oom_control")
    ]
    for path in (*files, root / "proc/vmstat"):
        for line in lines_of(path):
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def _bytes(text: str) -> int | None:
    """A limit in bytes; None for `max` and for what is no number."""
    return int(text) if text.isascii() and text.isdigit() else None
