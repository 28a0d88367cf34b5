"""What a probe tells beyond pass or fail: where the least cap lies, whether caps matter. Pure."""

import math
from collections.abc import Sequence

from tonnage.profile.bounds import Bounds
from tonnage.profile.model import CapKind, PhaseName, ProbeResult
from tonnage.profile.space import SearchSpace
from tonnage.units import MIB_PER_GIB

# A test whose peak comes this near its cap takes what it is given: the peak is then no need.
_TAKES_ALL = 0.95
# What an engine needs beyond its weights to start: activations and the least of caches.
_BEYOND_WEIGHTS = 1.05
# What frameworks hold outside the limit they set themselves (graphs, workspaces, fragments), as
# a share of the peak.
_OUTSIDE_SHARE = 0.1
# Of a card: what a smaller cap must save to be worth another probe.
_FLOOR_SHARE = 0.01
_BYTES_PER_MIB = 1024 * 1024


def likely_least(space: SearchSpace, seen: Bounds) -> float | None:
    """The place where the least cap probably lies; None when nothing is known about it."""
    missing = [need for probe in seen.failing if (need := _named_need(space, probe)) is not None]
    if space.kind is not CapKind.FRACTION:
        return max(map(space.place, missing), default=None)
    guesses = [need for need in missing if need > seen.low]
    probe = seen.lowest_passing
    peak_mib = probe.highest_mib
    if peak_mib is not None:
        cap_mib = probe.cap.mib(space.capacity_mib) or space.capacity_mib
        if peak_mib < _TAKES_ALL * cap_mib or _keeps_its_peak(space, seen):
            guesses.append(peak_mib / space.capacity_mib)
        elif loaded_mib := _loaded_mib(probe):
            guesses.append(loaded_mib * _BEYOND_WEIGHTS / space.capacity_mib)
    return max(guesses, default=None)


def ignores_the_cap(space: SearchSpace, probe: ProbeResult) -> bool:
    """Whether a test passed while it held clearly more than its share of the card."""
    limit_mib = probe.cap.mib(space.capacity_mib)
    if not probe.passed or probe.peak_mib is None or limit_mib is None:
        return False
    outside_mib = space.overhead_mib + space.noise_mib + _OUTSIDE_SHARE * probe.peak_mib
    return probe.peak_mib > limit_mib + outside_mib


def changes_nothing(space: SearchSpace, history: Sequence[ProbeResult]) -> bool:
    """Whether the first three probes under different engine caps passed with one and the same peak.

    A share of the card is left out: a test with a fixed need has one peak under all that fit.
    """
    return _span_mib(space, history[:3]) <= space.noise_mib


def is_at_the_floor(space: SearchSpace, seen: Bounds) -> bool:
    """Whether the last three engine caps that passed saved next to nothing."""
    return _span_mib(space, seen.passing[-3:]) <= _FLOOR_SHARE * space.capacity_mib


def _span_mib(space: SearchSpace, probes: Sequence[ProbeResult]) -> float:
    """How far three peaks are apart; infinite when that tells nothing."""
    peaks = [probe.peak_mib for probe in probes if probe.passed and probe.peak_mib is not None]
    if space.kind is CapKind.FRACTION or len(peaks) < 3:
        return math.inf
    return max(peaks) - min(peaks)


def _keeps_its_peak(space: SearchSpace, seen: Bounds) -> bool:
    """Whether the two lowest passing caps saw the same peak: a fixed need, however near the cap."""
    by_cap = sorted(seen.passing, key=lambda probe: probe.cap.value)
    lowest, *others = (probe.peak_mib for probe in by_cap[:2])
    if lowest is None or not others or others[0] is None:
        return False
    return abs(others[0] - lowest) <= space.noise_mib


def _loaded_mib(probe: ProbeResult) -> int | None:
    """What was held once the model was there and before the cache took the rest."""
    names = [phase.name for phase in probe.phases]
    if PhaseName.LOAD in names and PhaseName.CACHE in names:
        return probe.phases[names.index(PhaseName.LOAD)].peak_mib
    return None


def _named_need(space: SearchSpace, probe: ProbeResult) -> float | None:
    """The least cap by the failure's own words, in the cap's unit."""
    if space.kind in (CapKind.SGLANG_TOKENS, CapKind.TRTLLM_TOKENS):
        return probe.needed_tokens
    if probe.needed_mib is None:
        return None
    if space.kind is CapKind.FRACTION:
        return min(probe.needed_mib / space.capacity_mib, space.high)
    return probe.needed_mib * (
        _BYTES_PER_MIB if space.kind is CapKind.VLLM_BYTES else 1 / MIB_PER_GIB
    )
