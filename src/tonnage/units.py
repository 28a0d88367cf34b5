"""Quantities: memory in whole MiB inside, GiB at the edges; time in seconds.

Memory is an integer so that sums are exact: ten reservations and their releases leave zero,
and a small need on a large card never rounds to nothing.
"""

import math

MIB_PER_GIB = 1024


def mib_from_gib(gib: float) -> int:
    """Whole MiB that hold `gib` GiB, rounded up so that a need is never understated."""
    # The small slack keeps 0.1 GiB * 1024 = 102.4 honest while 3.8 * 1024 stays 3892, not 3893
    # because of the last bit of the product.
    return math.ceil(gib * MIB_PER_GIB - 1e-6)


def gib_from_mib(mib: int) -> float:
    """GiB of a number of MiB."""
    return mib / MIB_PER_GIB


def mib_from_bytes(count: int) -> int:
    """Whole MiB that hold `count` bytes, rounded up."""
    return -(-count // (1024 * 1024))


def format_gib(mib: int) -> str:
    """`3892` -> `3.8 GiB`: one decimal, as people read card sizes."""
    return f"{mib / MIB_PER_GIB:.1f} GiB"


def format_duration(seconds: float) -> str:
    """`0.042` -> `42 ms`, `9.51` -> `9.5 s`, `75` -> `1m 15s`, `3700` -> `1h 01m`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def plural(count: int, noun: str, plural_noun: str | None = None) -> str:
    """`1, "test"` -> `1 test`; `3, "test"` -> `3 tests`."""
    return f"{count} {noun if count == 1 else plural_noun or noun + 's'}"
