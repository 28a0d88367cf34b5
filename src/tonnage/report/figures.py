"""The figures of a run, computed from its events: what the summary says and the trace carries."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    BoundMeasured,
    Event,
    GpuDescription,
    GpuSampled,
    MemoryLeaked,
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
    """A declaration that the measured peak does not bear out, and the GiB to declare instead.

    `test` is the function, as its marker covers all of its `cases`; a single case keeps its id.
    `peak_mib` is the highest of theirs.
    """

    test: str
    cases: int
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
    leaks: tuple[MemoryLeaked, ...] = ()

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
    return Summary(
        tests=len(last),
        makespan_s=max(0.0, end_s - begin_s),
        lower_bound=next((event for event in events if isinstance(event, BoundMeasured)), None),
        sum_s=sum(event.duration_s for event in last.values()),
        gpus=_gpu_uses(events, begin_s, end_s),
        drifts=_drifts(events, finished),
        slowest=_slowest(last.values()),
        retried=tuple(e for e in last.values() if e.attempt > 1 or e.reruns),
        broken=tuple(event for event in last.values() if event.outcome in _OURS),
        notices=tuple(
            dict.fromkeys(event.message for event in events if isinstance(event, Noticed))
        ),
        leaks=tuple(event for event in events if isinstance(event, MemoryLeaked)),
    )


def _slowest(finished: Iterable[AttemptFinished]) -> tuple[AttemptFinished, ...]:
    slow = [event for event in finished if event.duration_s >= _NOT_WORTH_A_LINE_S]
    return tuple(sorted(slow, key=lambda event: -event.duration_s)[:_SLOWEST])


def gib_to_declare(peak_mib: int, card_mib: int) -> float:
    """A measured peak with a tenth of safety, rounded up to a tenth of a GiB.

    At most the largest card of the run, rounded down: declared to need more, the test would no
    longer run where it has just passed.
    """
    safe = math.ceil(round(peak_mib * _SAFETY / MIB_PER_GIB * 10, 6))
    return min(safe, card_mib * 10 // MIB_PER_GIB) / 10


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


def _drifts(events: Sequence[Event], finished: Sequence[AttemptFinished]) -> tuple[Drift, ...]:
    collected = next((event for event in events if isinstance(event, TestsCollected)), None)
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    if collected is None or started is None or not started.gpus:
        return ()
    largest_mib = max(gpu.capacity_mib for gpu in started.gpus)
    peaks: dict[str, AttemptFinished] = {}
    for event in finished:
        known = peaks.get(event.node_id)
        # No memory seen on a test that ends between two readings is no measurement.
        if event.peak_mib and (known is None or event.peak_mib > (known.peak_mib or 0)):
            peaks[event.node_id] = event
    declared: dict[tuple[str, int], list[str]] = {}
    for test in collected.tests:
        if test.declared_mib is not None:
            key = (_function(test.node_id), test.declared_mib)
            declared.setdefault(key, []).append(test.node_id)
    drifts = [
        drift
        for (function, declared_mib), cases in declared.items()
        if (drift := _drift(function, declared_mib, cases, peaks, largest_mib)) is not None
    ]
    return tuple(sorted(drifts, key=lambda drift: drift.declared_mib - drift.peak_mib))


def _drift(
    function: str,
    declared_mib: int,
    cases: Sequence[str],
    peaks: Mapping[str, AttemptFinished],
    largest_mib: int,
) -> Drift | None:
    measured = [peaks[case] for case in cases if case in peaks]
    highest = max(measured, key=lambda event: event.peak_mib or 0, default=None)
    if highest is None or highest.peak_mib is None:
        return None
    difference = highest.peak_mib - declared_mib
    if abs(difference) <= DRIFT_MIB or abs(difference) <= DRIFT_FRACTION * declared_mib:
        return None
    # An attempt that was cut short shows the least it needs, never the most.
    is_all_seen = len(measured) == len(cases) and all(
        event.outcome is Outcome.PASSED for event in measured
    )
    if difference < 0 and not is_all_seen:
        return None
    gib = gib_to_declare(highest.peak_mib, largest_mib)
    # A declaration that is what we would advise, or the profiler, which advises whole GiB, has
    # nothing to correct.
    if mib_from_gib(gib) <= declared_mib <= math.ceil(gib) * MIB_PER_GIB:
        return None
    name = function if len(cases) > 1 else cases[0]
    method = highest.method or "unknown"
    return Drift(name, len(cases), declared_mib, highest.peak_mib, method, gib)


def _function(node_id: str) -> str:
    """A node id without its parameters, which may have brackets and colons of their own."""
    path, separator, rest = node_id.partition("::")
    return path + separator + rest.partition("[")[0]
