"""The engine-cap table: how a memory cap reaches an inference engine. Pure.

A cap travels in the environment of the test, because the test starts the engine through scripts
and processes of its own. Whoever sets a cap (a packed run, the profiler) and whoever reads one
(`tonnage engine-args`, a suite's own code) take the names from here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

# One share of the card's total memory, from 0 to 1, for every engine alike. Both names are set;
# the first is the older one that launch scripts know.
FRACTION_VARIABLES = ("DYN_GPU_MEMORY_FRACTION_OVERRIDE", "TONNAGE_VRAM_FRACTION")


class Engine(str, Enum):
    """An engine whose memory can be capped. The value is the marker of its component."""

    VLLM = "vllm"
    SGLANG = "sglang"
    TRTLLM = "trtllm"


class CapUnit(str, Enum):
    """What the number of an absolute cap counts."""

    BYTES = "bytes"
    TOKENS = "tokens"
    GIB = "GiB"


@dataclass(frozen=True, slots=True)
class EngineCap:
    """One absolute cap: the role of the marker that declares it, and the variable it travels in."""

    role: str
    engine: Engine
    unit: CapUnit
    variable: str

    def text(self, value: float) -> str:
        """The variable's value. Bytes and tokens are whole and rounded down, to at least 1."""
        if self.unit is CapUnit.GIB:
            return repr(value).removesuffix(".0")
        return str(max(1, math.floor(value)))


ENGINE_CAPS = (
    EngineCap(
        "requested_vllm_kv_cache_bytes",
        Engine.VLLM,
        CapUnit.BYTES,
        "TONNAGE_VLLM_KV_CACHE_BYTES",
    ),
    EngineCap(
        "requested_sglang_kv_tokens",
        Engine.SGLANG,
        CapUnit.TOKENS,
        "TONNAGE_SGLANG_KV_TOKENS",
    ),
    EngineCap(
        "requested_trtllm_kv_tokens",
        Engine.TRTLLM,
        CapUnit.TOKENS,
        "TONNAGE_TRTLLM_KV_TOKENS",
    ),
    EngineCap(
        "requested_trtllm_vram_gib",
        Engine.TRTLLM,
        CapUnit.GIB,
        "TONNAGE_TRTLLM_VRAM_GIB",
    ),
)


def cap_of_role(role: str) -> EngineCap | None:
    """The cap that a marker with this role declares; None for any other marker."""
    return next((cap for cap in ENGINE_CAPS if cap.role == role), None)


def fraction_environment(fraction: float) -> dict[str, str]:
    """The variables that limit a test to this share (0 to 1) of each card's total memory."""
    # Twelve digits: a fraction made from whole MiB gives those MiB back on any card.
    text = f"{fraction:.12f}".rstrip("0").rstrip(".")
    return dict.fromkeys(FRACTION_VARIABLES, text)


def cap_environment(caps: Iterable[tuple[str, float]]) -> dict[str, str]:
    """The variables of absolute caps, given as (role, value) pairs such as a requirement's.

    Roles that are not in the table set nothing.
    """
    return {
        cap.variable: cap.text(value)
        for role, value in caps
        if (cap := cap_of_role(role)) is not None
    }
