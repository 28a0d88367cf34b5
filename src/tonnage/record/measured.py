"""What runs have measured of each test: durations and peaks, kept as the newest few. Pure.

A fold over the events of one run after another. Only a passing attempt teaches: one that was cut
short shows neither how long a test takes nor how much it needs. But any attempt may show that it
needs more than was known, and an out-of-memory that what was known cannot be trusted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    GpuDescription,
    RunStarted,
)
from tonnage.record.outcomes import Outcome

_DURATIONS = 10
_PEAKS = 5
_FORGOTTEN_S = 180 * 86400.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One test. `durations_s` of its newest passes, the latest last.

    `peaks_mib`: by kind of GPU, the peaks of its newest weighings, the latest last; what was
    measured on one kind of card says little about another. `seen_s`: when it last ran (epoch).
    """

    durations_s: tuple[float, ...] = ()
    peaks_mib: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seen_s: float = 0.0

    def peak_mib(self, kind: str) -> int | None:
        """The highest of the newest peaks on this kind of GPU; None: never weighed there."""
        return max(self.peaks_mib.get(kind, ()), default=None)


def gpu_kind(gpu: GpuDescription) -> str:
    """What cards on which a test needs the same have in common."""
    return f"{gpu.name}, {gpu.capacity_mib} MiB"


def measured_by(known: Mapping[str, Measured], events: Iterable[Event]) -> dict[str, Measured]:
    """What is known after a run with these events, given what was known before it."""
    result = dict(known)
    kinds: dict[str, str] = {}
    on: dict[str, str | None] = {}  # the kind of card that a test runs on
    wall_s = 0.0
    for event in events:
        match event:
            case RunStarted():
                kinds = {gpu.uuid: gpu_kind(gpu) for gpu in event.gpus}
                wall_s = event.wall_s
            case AttemptStarted():
                # A gang has a peak on each of its cards, and no single one to be placed by.
                on[event.node_id] = kinds.get(event.gpus[0]) if len(event.gpus) == 1 else None
            case AttemptFinished():
                before = result.get(event.node_id, Measured())
                after = _after(before, event, on.pop(event.node_id, None))
                if after is not before:
                    result[event.node_id] = replace(after, seen_s=wall_s)
    return {name: each for name, each in result.items() if wall_s - each.seen_s < _FORGOTTEN_S}


def _after(before: Measured, event: AttemptFinished, kind: str | None) -> Measured:
    if event.outcome is Outcome.OUT_OF_MEMORY:
        return replace(before, peaks_mib={})
    after = before
    if event.outcome is Outcome.PASSED:
        durations = (*before.durations_s, round(event.duration_s, 4))[-_DURATIONS:]
        after = replace(after, durations_s=durations)
    if kind is None or event.peak_mib is None:
        return after
    known = before.peak_mib(kind)
    is_news = known is not None and event.peak_mib > known
    if event.outcome is Outcome.PASSED or is_news:
        peaks = (*before.peaks_mib.get(kind, ()), event.peak_mib)[-_PEAKS:]
        after = replace(after, peaks_mib={**before.peaks_mib, kind: peaks})
    return after
