"""What failures say about memory: that there was too little, and how much it should be. Pure."""

import re
from dataclasses import dataclass

from tonnage.execute.out_of_memory import is_out_of_memory
from tonnage.profile.model import Cap, CapKind, ProbeOutcome
from tonnage.units import MIB_PER_GIB

# Engines that find too little memory for their cache stop with an ordinary error (ValueError,
# RuntimeError): vLLM, SGLang.
_DOES_NOT_FIT = re.compile(
    r"No available memory for the cache blocks"
    r"|is larger than the (?:maximum number of tokens that can be stored in|available) KV cache"
    r"|Not enough memory\. Please try to increase --mem-fraction-static",
    re.IGNORECASE,
)
_SIZE = r"(?P<{}>[0-9]+(?:\.[0-9]+)?) (?P<{}_unit>[GM]iB)"
_TRIED = re.compile("Tried to allocate " + _SIZE.format("size", "size"))
# torch: "Of the allocated memory 3.50 GiB is allocated by PyTorch".
_HELD = re.compile(_SIZE.format("size", "size") + " is allocated by PyTorch")
# Simulated cards: "This process tree is limited to 6.00 GiB by ... and has 2.00 GiB of that left."
_LIMIT = re.compile(
    "limited to " + _SIZE.format("size", "size") + " by .{1,200}? and has "
    + _SIZE.format("left", "left") + " of that left"
)  # fmt: skip
# vLLM: "0.44 GiB KV cache is needed, which is larger than the available KV cache memory (0.12 GiB)"
_CACHE = re.compile(
    _SIZE.format("size", "size")
    + r" KV cache is needed.{1,120}?available KV cache memory \("
    + _SIZE.format("left", "left"),
    re.DOTALL,
)
_TOKENS = re.compile(r"max seq len \((?P<tokens>[0-9]+)\) is larger than the maximum number")


@dataclass(frozen=True, slots=True)
class Need:
    """The least that would have been needed, by a failure's words; None: it does not say.

    `mib` counts the whole test where the cap is a share of the card, else the engine's cache.
    """

    mib: int | None = None
    tokens: int | None = None


def memory_outcome(type_name: str, text: str) -> ProbeOutcome | None:
    """Whether a failure says that memory is the reason; None when it does not."""
    if is_out_of_memory(type_name, text):
        return ProbeOutcome.OUT_OF_MEMORY
    return ProbeOutcome.DOES_NOT_FIT if _DOES_NOT_FIT.search(text) else None


def named_need(text: str, cap: Cap, capacity_mib: int) -> Need:
    """What the words of a failure under this cap say would have been needed at least."""
    if (found := _TOKENS.search(text)) is not None:
        return Need(tokens=int(found["tokens"]))
    if (found := _CACHE.search(text)) is not None:
        needed_mib, left_mib = _mib(found, "size"), _mib(found, "left")
        limit_mib = cap.mib(capacity_mib)
        return Need(needed_mib if limit_mib is None else limit_mib + needed_mib - left_mib)
    if cap.kind is not CapKind.FRACTION or (tried := _TRIED.search(text)) is None:
        return Need()
    if (limit := _LIMIT.search(text)) is not None:
        held_mib = _mib(limit, "size") - _mib(limit, "left")
    elif (held := _HELD.search(text)) is not None:
        held_mib = _mib(held, "size")
    else:
        return Need()
    return Need(held_mib + _mib(tried, "size"))


def _mib(found: re.Match[str], name: str) -> int:
    per_unit = MIB_PER_GIB if found[f"{name}_unit"] == "GiB" else 1
    return round(float(found[name]) * per_unit)
