"""Where a search looks: the range of one kind of cap and its tolerance. Pure.

Shares of a card are searched on a straight scale. Engine caps run over orders of magnitude and
are searched on a logarithmic one, where a tolerance is a ratio. *Place* is a cap on that scale.
"""

import math
from dataclasses import dataclass

from tonnage.errors import OptionError
from tonnage.profile.model import Cap, CapKind
from tonnage.units import MIB_PER_GIB

# The guidelines' range and tolerance, as shares of the card.
FRACTION_LOW, FRACTION_HIGH, FRACTION_TOLERANCE = 0.05, 0.95, 0.05
# An engine's cap is declared with twice the least value, so a quarter of it is close enough.
CAP_TOLERANCE = 1.25
# Without a declared value: from what no engine starts with to what is plenty for one test.
_BYTES_PER_MIB = 1024 * 1024
_LOWEST = {
    CapKind.VLLM_BYTES: 16.0 * _BYTES_PER_MIB,
    CapKind.SGLANG_TOKENS: 256.0,
    CapKind.TRTLLM_TOKENS: 256.0,
    CapKind.TRTLLM_GIB: 0.0625,
}
_PLENTY_OF_TOKENS = 131_072.0
_CACHE_SHARE = 0.25
_DECLARED_RANGE = 4.0

# Readings of one and the same program differ by this much between runs, in MiB.
NOISE_MIB = 32
# A CUDA context with its libraries, which a framework's own limit does not count.
CONTEXT_MIB = 768


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Caps from `low` to `high` of one kind, on a card of `capacity_mib`.

    The search ends when a passing and a failing cap are `tolerance` apart: a difference of shares
    for a share of the card, a ratio above 1 for engine caps. `noise_mib` is how far readings of
    the same thing differ, `overhead_mib` what a test may hold above its cap and still honour it.
    """

    kind: CapKind
    low: float
    high: float
    tolerance: float
    capacity_mib: int
    noise_mib: int = NOISE_MIB
    overhead_mib: int = CONTEXT_MIB

    def __post_init__(self) -> None:
        is_share = self.kind is CapKind.FRACTION
        if not 0 < self.low < self.high < math.inf or (is_share and self.high > 1):
            most = "at most 100%, " if is_share else ""
            raise OptionError(
                f"cannot search from {self.low:g} to {self.high:g}",
                where="--range",
                remedy=f"Give the smaller end first, both more than 0, {most}such as 5%-95%.",
            )
        if not (0 if is_share else 1) < self.tolerance < math.inf:
            raise OptionError(
                f"cannot search to within {self.tolerance:g}",
                where="--tolerance",
                remedy="Give a share of the card such as 5%."
                if is_share
                else "Give the ratio of two neighbouring caps, more than 1, such as 1.25.",
            )

    def place(self, value: float) -> float:
        """Where a cap's value lies on the scale that is searched."""
        return value if self.kind is CapKind.FRACTION else math.log(value)

    def cap(self, place: float) -> Cap:
        """The cap at a place, as an engine will read it: bytes and tokens are whole."""
        if self.kind is CapKind.FRACTION:
            return Cap(self.kind, place)
        value = math.exp(place)
        return Cap(self.kind, value if self.kind is CapKind.TRTLLM_GIB else float(round(value)))

    @property
    def step(self) -> float:
        """The tolerance on the scale; never finer than readings are."""
        if self.kind is CapKind.FRACTION:
            return max(self.tolerance, self.noise_mib / self.capacity_mib)
        return math.log(self.tolerance)

    @property
    def bisections(self) -> int:
        """How many probes plain bisection takes after the validation run."""
        return self.halvings(self.place(self.high) - self.place(self.low))

    def halvings(self, width: float) -> int:
        """How often `width` on the scale must be halved until it is within the tolerance."""
        # Caps in whole tokens do not lie exactly half-way.
        slack = 1e-9 if self.kind is CapKind.FRACTION else 0.01
        return max(0, math.ceil(math.log2(width / self.step) - slack)) if width > 0 else 0


def space_for(
    kind: CapKind,
    capacity_mib: int,
    *,
    declared: float | None = None,
    low: float | None = None,
    high: float | None = None,
    tolerance: float | None = None,
    is_simulated: bool = False,
) -> SearchSpace:
    """The space to search for a kind of cap; what is not given is filled in.

    `declared` is the value that the test's marker has now. `capacity_mib` is of the card that
    the probes run on; simulated ones are read exactly and know no contexts. Raises OptionError.
    """
    if kind is CapKind.FRACTION:
        defaults = (FRACTION_LOW, FRACTION_HIGH, FRACTION_TOLERANCE)
    else:
        highest = _highest(kind, capacity_mib) if declared is None else declared * _DECLARED_RANGE
        lowest = _LOWEST[kind]
        defaults = (min(lowest, highest / _DECLARED_RANGE**2), highest, CAP_TOLERANCE)
    return SearchSpace(
        kind,
        defaults[0] if low is None else low,
        defaults[1] if high is None else high,
        defaults[2] if tolerance is None else tolerance,
        capacity_mib,
        noise_mib=0 if is_simulated else NOISE_MIB,
        overhead_mib=0 if is_simulated else CONTEXT_MIB,
    )


def _highest(kind: CapKind, capacity_mib: int) -> float:
    cache_mib = capacity_mib * _CACHE_SHARE
    if kind is CapKind.VLLM_BYTES:
        return cache_mib * _BYTES_PER_MIB
    if kind is CapKind.TRTLLM_GIB:
        return cache_mib / MIB_PER_GIB
    return _PLENTY_OF_TOKENS
