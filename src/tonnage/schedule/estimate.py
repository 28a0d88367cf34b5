"""How long a test will take: what is known, and None when nothing is. Pure."""

from collections.abc import Sequence
from statistics import median

# Timeouts in practice are set to about three times what the test takes.
_TIMEOUTS_PER_DURATION = 3.0


def estimate_s(history: Sequence[float], timeout_s: float | None) -> float | None:
    """Seconds a test is expected to take.

    From `history`, durations of recent passes: their mean without those further from the median
    than three times the median distance from it. Else a third of the declared timeout. Else None:
    an unknown duration is no number.
    """
    if history:
        return _robust_mean(history)
    return None if timeout_s is None else timeout_s / _TIMEOUTS_PER_DURATION


def _robust_mean(values: Sequence[float]) -> float:
    middle = median(values)
    spread = median(abs(value - middle) for value in values)
    kept = [value for value in values if abs(value - middle) <= 3 * spread]
    return sum(kept) / len(kept)
