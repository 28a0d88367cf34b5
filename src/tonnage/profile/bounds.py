"""What the probes of one search have shown so far. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from tonnage.profile.model import ProbeOutcome, ProbeResult
from tonnage.profile.space import SearchSpace


def too_large(space: SearchSpace, history: Sequence[ProbeResult]) -> int:
    """How many probes a search began with whose cache did not fit the card beside the model.

    They say nothing about the least cache. A share of the card is never too large.
    """
    if not space.kind.is_engine_cap:
        return 0
    runs_out = (probe.outcome is ProbeOutcome.OUT_OF_MEMORY for probe in history)
    return sum(1 for _ in takewhile(bool, runs_out))


@dataclass(frozen=True, slots=True)
class Bounds:
    """At place `low` the test fails, or it is the end of the range; at `high` it passes.

    `passing` and `failing` are probes in the order in which they were taken. A cap at which one
    of several probes passed is a passing one, and `flaky`, which holds its value.
    """

    space: SearchSpace
    low: float
    high: float
    passing: tuple[ProbeResult, ...]
    failing: tuple[ProbeResult, ...]
    flaky: tuple[float, ...]
    repeats: int

    @classmethod
    def of(cls, space: SearchSpace, history: Sequence[ProbeResult]) -> "Bounds":
        """Read the probes of a search; at least one passed."""
        history = history[too_large(space, history) :]
        probed = {probe.cap.value for probe in history}
        passed = {probe.cap.value for probe in history if probe.passed}
        failed = {probe.cap.value for probe in history if not probe.passed}
        return cls(
            space,
            max(map(space.place, failed - passed), default=space.place(space.low)),
            min(map(space.place, passed)),
            tuple(probe for probe in history if probe.passed),
            tuple(probe for probe in history if probe.cap.value not in passed),
            tuple(sorted(passed & failed)),
            len(history) - len(probed),
        )

    @property
    def width(self) -> float:
        """How far the bounds are apart."""
        return self.high - self.low

    @property
    def taken(self) -> int:
        """Probes at caps of their own, without the validation run."""
        return len({probe.cap.value for probe in (*self.passing, *self.failing)}) - 1

    @property
    def lowest_passing(self) -> ProbeResult:
        """The first probe that passed at the lowest passing cap."""
        return min(self.passing, key=lambda probe: probe.cap.value)

    @property
    def highest_failing(self) -> ProbeResult | None:
        """The probe that the lower bound rests on; None when it is the end of the range."""
        return max(self.failing, key=lambda probe: probe.cap.value, default=None)

    @property
    def doubtful_probe(self) -> ProbeResult | None:
        """The one that the lower bound rests on, if it failed once and did not speak of memory."""
        probe = self.highest_failing
        if probe is None or probe.outcome.is_memory:
            return None
        times = sum(other.cap == probe.cap for other in self.failing)
        return probe if times == 1 else None

    def failures_above(self, place: float) -> int:
        """How many caps at or above this place failed."""
        return len({p.cap.value for p in self.failing if self.space.place(p.cap.value) >= place})

    def passes_below(self, place: float) -> int:
        """How many caps below this place passed."""
        return len({p.cap.value for p in self.passing if self.space.place(p.cap.value) < place})

    def warnings(self) -> tuple[str, ...]:
        """What is to be said about failures whose reason is not known to be memory."""
        found = [
            f"at {self._text(value)} the test failed once and passed once: it is flaky"
            for value in self.flaky
        ]
        probe = self.highest_failing
        if probe is not None and not probe.outcome.is_memory:
            found.append(
                f"at {self._text(probe.cap.value)} it did not run out of memory but ended so: "
                f"{probe.reason or probe.outcome.value}; this was taken as not fitting"
            )
        return tuple(found)

    def _text(self, value: float) -> str:
        cap = self.space.cap(self.space.place(value))
        return cap.text(self.space.capacity_mib)
