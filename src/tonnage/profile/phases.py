"""The phases of a test, found in its memory curve. Pure.

    baseline    before the test's process starts
    model load  from there until the memory is in use, or until the cache is allocated
    cache       one large step after a level that held: an engine takes the rest of its share
    steady      from the first time that the highest lasting level is reached
    teardown    from the last time that half of that level is held

A level lasts when it is seen in most of a few neighbouring samples: a running median leaves out
spikes of one or two samples, which still count for the peak of the phase they fall into.
"""

from collections.abc import Sequence
from statistics import median

from tonnage.profile.model import Phase, PhaseName

# Samples on each side of the one that a running median is for.
_SIDE = 2
# Levels this much of the whole rise apart are one level.
_SAME_SHARE = 0.03
# A cache is at least this share of the whole rise, and at least so many MiB.
_CACHE_SHARE = 0.1
_CACHE_MIB = 200
# A level held for so many samples before a step makes the step an event of its own.
_HELD_SAMPLES = 4


def find_phases(
    times_s: Sequence[float],
    held_mib: Sequence[int],
    start_s: float,
    end_s: float,
    noise_mib: int = 32,
) -> tuple[Phase, ...]:
    """The phases of a curve, in order, without those that did not occur.

    `held_mib` is what the test held at each of `times_s`, ascending; its process lived from
    `start_s` to `end_s`. Readings of one level differ by up to `noise_mib`.
    """
    if not times_s:
        return ()
    smooth = _smooth(held_mib)
    first = next((at for at, time_s in enumerate(times_s) if time_s >= start_s), len(times_s))
    after = next((at for at, time_s in enumerate(times_s) if time_s > end_s), len(times_s))
    cuts = [(PhaseName.BASELINE, 0)]
    if first < after:
        cuts += _within(smooth, first, after, noise_mib)
    if cuts[-1][0] is not PhaseName.TEARDOWN:
        cuts.append((PhaseName.TEARDOWN, after))
    return _phases(cuts, times_s, held_mib)


def _within(
    smooth: Sequence[float], first: int, after: int, noise_mib: int
) -> list[tuple[PhaseName, int]]:
    """The phases between the start and the end of the process, each with its first sample."""
    top = max(smooth[first:after])
    low = min(smooth[first], top)
    same = max(noise_mib, _SAME_SHARE * (top - low))
    if top - low <= noise_mib:
        return [(PhaseName.STEADY, first)]
    reached = next(at for at in range(first, after) if smooth[at] >= top - same)
    found = [(PhaseName.LOAD, first)] if reached > first else []
    step = _last_step(smooth, first, reached, same)
    gained = smooth[reached] - smooth[step]
    is_late = smooth[step] - low > same
    if is_late and gained >= max(_CACHE_MIB, _CACHE_SHARE * (top - low)):
        found.append((PhaseName.CACHE, step + 1))
        # Allocated between two samples, it is the second of them.
        reached = min(max(reached, step + 2), after - 1)
    found.append((PhaseName.STEADY, reached))
    half = low + (top - low) / 2
    last = next(at for at in range(after - 1, reached - 1, -1) if smooth[at] >= half)
    if last + 1 < after:
        found.append((PhaseName.TEARDOWN, last + 1))
    return found


def _last_step(smooth: Sequence[float], first: int, reached: int, same: float) -> int:
    """The last sample before `reached` at which a level had been held; `first` when none was."""
    for at in range(reached - 1, first + _HELD_SAMPLES - 2, -1):
        held = smooth[at - _HELD_SAMPLES + 1 : at + 1]
        if max(held) - min(held) <= same:
            return at
    return first


def _smooth(values: Sequence[int]) -> list[float]:
    return [
        median(values[max(0, at - _SIDE) : at + _SIDE + 1]) if 0 < at < len(values) - 1 else value
        for at, value in enumerate(values)
    ]


def _phases(
    cuts: Sequence[tuple[PhaseName, int]],
    times_s: Sequence[float],
    held_mib: Sequence[int],
) -> tuple[Phase, ...]:
    phases = []
    ends = [*(begin for _, begin in cuts[1:]), len(times_s)]
    for (name, begin), following in zip(cuts, ends, strict=True):
        if begin >= following:
            continue
        inside = held_mib[begin:following]
        # A phase lasts until the next begins, as the curve between two samples belongs to it.
        end_s = times_s[following] if following < len(times_s) else times_s[-1]
        mean_mib = round(sum(inside) / len(inside))
        phases.append(Phase(name, times_s[begin], end_s, mean_mib, max(inside)))
    return tuple(phases)
