"""The figures of a run, computed from its events: what the summary says and the trace carries."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    BoundMeasured,
    Event,
    GpuDescription,
    GpuSampled,
    Noticed,
    RunStarted,
    TestsCollected,
)
from tonnage.record.outcomes import Outcome
from tonnage.units import MIB_PER_GIB, mib_from_gib

DRIFT_FRACTION = 0.10
DRIFT_MIB = 256
_SAFETY = 1.10
_SLOWEST = 5
_NOT_WORTH_A_LINE_S = 0.1
_OURS = frozenset({Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.CRASHED, Outcome.LOST})


@dataclass(frozen=True, slots=True)
class GpuUse:
    """Time-weighted means over the run, as fractions of capacity. None: never read."""

    gpu: GpuDescription
    used: float | None
    reserved: float | None


@dataclass(frozen=True, slots=True)
class Drift:
    """A declaration that the measured peak does not bear out, and the GiB to declare instead."""

    node_id: str
    declared_mib: int
    peak_mib: int
    method: str
    declare_gib: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run. Times are seconds; `sum_s` adds each test's last attempt.

    `makespan_s` runs from the first start to the last end.
    """

    tests: int
    makespan_s: float
    lower_bound: BoundMeasured | None
    sum_s: float
    gpus: tuple[GpuUse, ...]
    drifts: tuple[Drift, ...]
    slowest: tuple[AttemptFinished, ...]
    retried: tuple[AttemptFinished, ...]
    broken: tuple[AttemptFinished, ...]  # timeout, out of memory, crash, lost: last attempts
    notices: tuple[str, ...]

    @property
    def speed_up(self) -> float | None:
        """How many times faster than one test after another; None when nothing ran."""
        return self.sum_s / self.makespan_s if self.makespan_s > 0 else None


def summarise(events: Sequence[Event]) -> Summary:
    """The figures of the run these events describe."""
    finished = [event for event in events if isinstance(event, AttemptFinished)]
    last = {event.node_id: event for event in finished}
    starts = [event.at_s for event in events if isinstance(event, AttemptStarted)]
    begin_s = min(starts, default=0.0)
    end_s = max((event.at_s for event in finished), default=begin_s)
    collected = next((event for event in events if isinstance(event, TestsCollected)), None)
    return Summary(
        tests=len(last),
        makespan_s=max(0.0, end_s - begin_s),
        lower_bound=next((event for event in events if isinstance(event, BoundMeasured)), None),
        sum_s=sum(event.duration_s for event in last.values()),
        gpus=_gpu_uses(events, begin_s, end_s),
        drifts=_drifts(collected, finished),
        slowest=_slowest(last.values()),
        retried=tuple(event for event in last.values() if event.attempt > 1),
        broken=tuple(event for event in last.values() if event.outcome in _OURS),
        notices=tuple(
            dict.fromkeys(event.message for event in events if isinstance(event, Noticed))
        ),
    )


def _slowest(finished: Iterable[AttemptFinished]) -> tuple[AttemptFinished, ...]:
    slow = [event for event in finished if event.duration_s >= _NOT_WORTH_A_LINE_S]
    return tuple(sorted(slow, key=lambda event: -event.duration_s)[:_SLOWEST])


def gib_to_declare(peak_mib: int) -> float:
    """A measured peak with a tenth of safety, rounded up to a tenth of a GiB."""
    return math.ceil(round(peak_mib * _SAFETY / MIB_PER_GIB * 10, 6)) / 10


def _gpu_uses(events: Sequence[Event], begin_s: float, end_s: float) -> tuple[GpuUse, ...]:
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    if started is None:
        return ()
    samples: dict[str, list[GpuSampled]] = {gpu.uuid: [] for gpu in started.gpus}
    for event in events:
        if isinstance(event, GpuSampled) and event.gpu in samples:
            samples[event.gpu].append(event)
    return tuple(
        GpuUse(
            gpu,
            _mean([(each.at_s, each.used_mib) for each in samples[gpu.uuid]], begin_s, end_s, gpu),
            _mean(
                [(each.at_s, each.reserved_mib) for each in samples[gpu.uuid]], begin_s, end_s, gpu
            ),
        )
        for gpu in started.gpus
    )


def _mean(
    points: Sequence[tuple[float, int | None]], begin_s: float, end_s: float, gpu: GpuDescription
) -> float | None:
    """The mean of a value that holds until its next reading; time with none known is left out."""
    known_s = area = 0.0
    ends = [*(at_s for at_s, _ in points), end_s][1:]
    for (at_s, mib), until_s in zip(points, ends, strict=True):
        seconds = min(until_s, end_s) - max(at_s, begin_s)
        if mib is not None and seconds > 0:
            known_s += seconds
            area += seconds * mib
    return area / known_s / gpu.capacity_mib if known_s and gpu.capacity_mib else None


def _drifts(
    collected: TestsCollected | None, finished: Sequence[AttemptFinished]
) -> tuple[Drift, ...]:
    declared = {test.node_id: test.declared_mib for test in collected.tests} if collected else {}
    peaks: dict[str, AttemptFinished] = {}
    for event in finished:
        known = peaks.get(event.node_id)
        if event.peak_mib is not None and (
            known is None or known.peak_mib is None or known.peak_mib < event.peak_mib
        ):
            peaks[event.node_id] = event
    drifts = [
        drift
        for node_id, event in peaks.items()
        if (drift := _drift(declared.get(node_id), event)) is not None
    ]
    return tuple(sorted(drifts, key=lambda drift: drift.declared_mib - drift.peak_mib))


def _drift(declared_mib: int | None, event: AttemptFinished) -> Drift | None:
    if declared_mib is None or event.peak_mib is None:
        return None
    difference = event.peak_mib - declared_mib
    if abs(difference) <= DRIFT_MIB or abs(difference) <= DRIFT_FRACTION * declared_mib:
        return None
    # An attempt that was cut short shows the least it needs, never the most.
    if difference < 0 and event.outcome is not Outcome.PASSED:
        return None
    gib = gib_to_declare(event.peak_mib)
    # A declaration that already is what we would advise has nothing to correct.
    if mib_from_gib(gib) == declared_mib:
        return None
    return Drift(event.node_id, declared_mib, event.peak_mib, event.method or "unknown", gib)
