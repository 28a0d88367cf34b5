"""Finding the least cap at which a test passes. Pure: from the probes so far to the next one.

Plain bisection knows only that a probe passed or failed. A probe tells more: how much it held,
and when memory ran out, how much was missing. So the next cap is the one at which the evidence
says that the test just passes, and then the one a tolerance below, where it should just fail:
two probes after the validation run, if the evidence is right. It is never believed, only used to
choose: bounds move by probes alone, and a guess is taken only as far as plain bisection could
still finish in time if the guess were wrong. So there are never more probes than bisection takes,
but for failures that had to be repeated because they did not say that memory was the reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.profile.bounds import Bounds, too_large
from tonnage.profile.evidence import (
    changes_nothing,
    ignores_the_cap,
    is_at_the_floor,
    likely_least,
)
from tonnage.profile.model import Cap, ProbeOutcome, ProbeResult, Verdict
from tonnage.profile.space import SearchSpace

# How many failures without a known reason are looked at a second time, in one search.
MOST_REPEATS = 2
# How far above the likely least cap it is probed, as a share of a step: enough for what sampling
# has missed, and so little that a step below surely fails.
_ABOVE = 0.25
# When an engine's cache does not fit the card beside its model: how often a smaller one is tried,
# and by how much.
MOST_TOO_LARGE = 2
_SMALLER = 4


@dataclass(frozen=True, slots=True)
class NextProbe:
    """Probe at this cap next. `note` says why there."""

    cap: Cap
    note: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The search is over."""

    verdict: Verdict
    warnings: tuple[str, ...] = ()


def next_step(space: SearchSpace, history: Sequence[ProbeResult]) -> NextProbe | Ended:
    """What to do after these probes, which are those that earlier calls asked for, in order."""
    if not history:
        return NextProbe(space.cap(space.place(space.high)), "validation run")
    skipped = too_large(space, history)
    if skipped == len(history):
        return _smaller(space, history)
    history = history[skipped:]
    if not history[0].passed:
        return Ended(_VERDICTS.get(history[0].outcome, Verdict.FAILS_ON_ITS_OWN))
    if any(ignores_the_cap(space, probe) for probe in history) or changes_nothing(space, history):
        return Ended(Verdict.DOES_NOT_HONOUR)
    seen = Bounds.of(space, history)
    if len(seen.flaky) >= MOST_REPEATS:
        return Ended(Verdict.FLAKY, seen.warnings())
    if is_at_the_floor(space, seen):
        floor = "a smaller cap does not lower the peak any further: the rest is not the cache"
        return Ended(Verdict.FOUND, (floor, *seen.warnings()))
    if space.halvings(seen.width) == 0:
        doubtful = seen.doubtful_probe
        if doubtful is not None and seen.repeats < MOST_REPEATS:
            return NextProbe(doubtful.cap, "repeated: memory was not named as the reason")
        return Ended(Verdict.FOUND, (*_about_noise(space), *seen.warnings()))
    place, note = _aim(space, seen)
    return NextProbe(space.cap(place), note)


def _smaller(space: SearchSpace, history: Sequence[ProbeResult]) -> NextProbe | Ended:
    """After caches too large for the card: a quarter, unless the card is too small for any."""
    place = space.place(history[-1].cap.value) - math.log(_SMALLER)
    if len(history) > MOST_TOO_LARGE or place <= space.place(space.low):
        return Ended(Verdict.DOES_NOT_FIT)
    return NextProbe(space.cap(place), "a quarter: the card had no room for it")


_VERDICTS = {
    ProbeOutcome.SKIPPED: Verdict.SKIPPED,
    ProbeOutcome.OUT_OF_MEMORY: Verdict.DOES_NOT_FIT,
    ProbeOutcome.DOES_NOT_FIT: Verdict.DOES_NOT_FIT,
}


def _about_noise(space: SearchSpace) -> tuple[str, ...]:
    if space.step <= space.tolerance:
        return ()
    return (
        f"the search ended at {space.step:.2%} of the card instead of {space.tolerance:.2%}: "
        f"readings are no more exact than {space.noise_mib} MiB",
    )


def _aim(space: SearchSpace, seen: Bounds) -> tuple[float, str]:
    """The place to probe next and why: where the evidence points, as far as that is safe."""
    left = max(space.bisections - seen.taken, space.halvings(seen.width))
    # Whichever way the probe ends, what is left must be within reach of the probes that are left.
    reach = space.step * 2 ** (left - 1)
    lowest, highest = seen.high - reach, seen.low + reach
    place, note = _wish(space, seen)
    if lowest <= place <= highest:
        return place, note
    return min(max(place, lowest), highest), f"{note}, as far as bisection could still follow"


def _wish(space: SearchSpace, seen: Bounds) -> tuple[float, str]:
    """The place that the evidence points to."""
    middle = (seen.low + seen.high) / 2
    likely = likely_least(space, seen)
    if likely is None:
        return middle, "half-way"
    step = space.step
    above = likely + _ABOVE * step
    below = above - step
    if above < seen.low + _ABOVE * step:
        failures = seen.failures_above(likely)
        if not failures:
            return min(seen.low + step, middle), "should just pass"
        # It failed where it should have passed: away from there, in growing steps.
        beyond = seen.low + step * 2 ** (failures - 1)
        return min(beyond, middle), "it takes more than it seemed"
    if below > seen.high - _ABOVE * step:
        beyond = seen.high - step * 2 ** (seen.passes_below(likely) - 1)
        return max(beyond, middle), "it takes less than it seemed"
    if seen.low + step > likely:
        return min(above, seen.low + step), "should just pass"
    if seen.high - step < likely:
        return max(below, seen.high - step), "should just fail"
    # The bound that is nearer to begin with leaves the most to bisection, were the guess wrong.
    return (above, "should just pass") if likely < middle else (below, "should just fail")
