"""How many CPUs this process may really use: its affinity, and every CPU quota above it.

A container on a 64-core host with a quota of 4 has 4: more workers than that make every test
slow and the timed ones fail.
"""

import os
from pathlib import Path

from tonnage.devices.cgroups import cgroup_directories, lines_of


def available_cpus(root: Path = Path("/"), affinity: int | None = None) -> int:
    """The smallest of the CPU affinity and the quotas of all enclosing cgroups; at least 1.

    A quota of 1.5 CPUs counts as 1. `root` is where /proc and /sys are found, `affinity` the
    number of CPUs to start from (None: ask the system).
    """
    limit = float(_affinity() if affinity is None else affinity)
    for directory in cgroup_directories(root, "cpu"):
        limit = min(limit, _quota_v2(directory), _quota_v1(directory))
    return max(1, int(limit))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota_v2(directory: Path) -> float:
    fields = next(iter(lines_of(directory / "cpu.max")), "").split()
    if len(fields) != 2:
        return float("inf")
    return _ratio(*fields)


def _quota_v1(directory: Path) -> float:
    quota = next(iter(lines_of(directory / "cpu.cfs_quota_us")), "")
    period = next(iter(lines_of(directory / "cpu.cfs_period_us")), "")
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float:
    """CPUs per period; no limit for `max`, `-1` or anything that is no number."""
    try:
        microseconds, per = int(quota), int(period)
    except ValueError:
        return float("inf")
    return microseconds / per if microseconds > 0 and per > 0 else float("inf")
