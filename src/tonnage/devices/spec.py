"""Which GPUs a run was asked to use: the text of `--gpus`, understood. Pure."""

import re
from dataclasses import dataclass
from typing import Literal

from tonnage.errors import OptionError
from tonnage.units import MIB_PER_GIB, mib_from_gib

GPUS_VARIABLE = "TONNAGE_GPUS"
MOST_SIMULATED_GPUS = 1024

_REMEDY = (
    "Use nvml (the default), none, or sim:COUNTxGIB such as sim:2x24; "
    "cards of different sizes are separated by commas: sim:1x22,1x80."
)
_GROUP = re.compile(r"(?P<count>[0-9]+)x(?P<gib>[0-9]+(?:\.[0-9]+)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class GpuSpec:
    """Where GPUs come from. `cards_mib` is one capacity per simulated card, else empty."""

    source: Literal["nvml", "none", "simulated"]
    cards_mib: tuple[int, ...] = ()

    def __str__(self) -> str:
        """The shortest text that parses to this spec."""
        if self.source != "simulated":
            return self.source
        groups: list[tuple[int, int]] = []
        for card in self.cards_mib:
            if groups and groups[-1][1] == card:
                groups[-1] = (groups[-1][0] + 1, card)
            else:
                groups.append((1, card))
        return "sim:" + ",".join(f"{count}x{_gib_text(mib)}" for count, mib in groups)


def parse_gpu_spec(text: str, where: str = "--gpus") -> GpuSpec:
    """Understand `nvml`, `auto` (the same), `none`, or `sim:COUNTxGIB[,COUNTxGIB...]`.

    GiB may be fractional. `where` names the option or variable that held the text.
    Raises OptionError for anything else, a count of zero, an empty card, or over 1024 cards.
    """
    word = text.strip().lower()
    if word in ("nvml", "auto"):
        return GpuSpec("nvml")
    if word == "none":
        return GpuSpec("none")
    if not word.startswith("sim:"):
        raise OptionError(f"{text!r} names no source of GPUs", where=where, remedy=_REMEDY)

    cards: list[int] = []
    for group in word.removeprefix("sim:").split(","):
        match = _GROUP.fullmatch(group.strip())
        if match is None:
            raise OptionError(
                f"{group.strip()!r} in {text!r} is not COUNTxGIB", where=where, remedy=_REMEDY
            )
        # The count is judged by its length first: a huge one must not cost memory or time.
        digits = match["count"].lstrip("0")
        if not digits:
            raise OptionError(
                f"{group.strip()!r} in {text!r} asks for no card",
                where=where,
                remedy="Give a count of at least 1, or use --gpus none.",
            )
        if len(digits) > 4 or len(cards) + int(digits) > MOST_SIMULATED_GPUS:
            raise OptionError(
                f"{text!r} asks for more than {MOST_SIMULATED_GPUS} simulated GPUs",
                where=where,
                remedy=f"Ask for at most {MOST_SIMULATED_GPUS}.",
            )
        capacity_mib = mib_from_gib(float(match["gib"])) if len(match["gib"]) < 16 else 0
        if capacity_mib <= 0:
            raise OptionError(
                f"{group.strip()!r} in {text!r} is no size a card can have",
                where=where,
                remedy="Give the GiB of one card, more than 0.",
            )
        cards.extend([capacity_mib] * int(digits))
    return GpuSpec("simulated", tuple(cards))


def _gib_text(mib: int) -> str:
    return f"{mib / MIB_PER_GIB:.10f}".rstrip("0").rstrip(".")
