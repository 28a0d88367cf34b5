"""Measuring a test: once as it is, or under one cap after another for its least memory."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tonnage.devices.open import Devices
from tonnage.errors import DeviceError
from tonnage.execute.family import describe
from tonnage.profile.bounds import Bounds
from tonnage.profile.model import (
    NO_CAP,
    Cap,
    ProbeEnded,
    ProbeResult,
    ProbeSettings,
    ProbeStarted,
    ProfileEvent,
    Sample,
    SearchBegan,
    SearchResult,
    Verdict,
)
from tonnage.profile.probe import Stopped, Subject, run_probe
from tonnage.profile.search import Ended, next_step
from tonnage.profile.space import SearchSpace
from tonnage.units import format_gib

# The baseline was sampled for as long as asked before the first probe, and a teardown that ends
# early has seen the card get back there.
_LATER_BASELINE_S = 0.5
# Above this share of a card in use by others, what is measured on it is of little worth.
_CROWDED_SHARE = 0.5

Events = Callable[[ProfileEvent], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where probes are run: on these GPUs (UUIDs), with these settings.

    `stop` ends the probe in hand from another thread; `on_sample` is called from another thread.
    """

    devices: Devices
    gpus: tuple[str, ...]
    settings: ProbeSettings = field(default_factory=ProbeSettings)
    on_event: Events = lambda event: None
    on_sample: Callable[[Sample], None] | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.devices.backend is None or not self.gpus:
            raise DeviceError(
                f"there is no GPU to measure on: {self.devices.note}",
                where="--gpus",
                remedy="Run it on a machine with a GPU, or on simulated ones: --gpus sim:1x24",
            )

    def probe(self, subject: Subject, cap: Cap = NO_CAP, *, is_first: bool = True) -> ProbeResult:
        """One probe; see `run_probe`. Unless it `is_first`, its baseline may be short."""
        settings = self.settings
        if settings.ends_early and not is_first:
            baseline_s = min(settings.baseline_s, _LATER_BASELINE_S)
            settings = replace(settings, baseline_s=baseline_s)
        return run_probe(
            subject,
            self.devices,
            self.gpus,
            cap,
            settings,
            on_sample=self.on_sample,
            stop=self.stop,
        )


def measure_once(bench: Bench, subject: Subject) -> ProbeResult:
    """A single pass without a cap. Raises as `run_probe` does, and KeyboardInterrupt."""
    bench.on_event(ProbeStarted(1, 1, NO_CAP, None, "single pass"))
    result = bench.probe(subject)
    bench.on_event(ProbeEnded(1, result))
    return result


def find_least(
    bench: Bench, subject: Subject, space: SearchSpace, known: Sequence[ProbeResult] = ()
) -> SearchResult:
    """The least memory at which the test passes, by as many probes as it takes.

    `known` are the probes of an interrupted search of the same space, in order: it goes on from
    there. KeyboardInterrupt, and `bench.stop`, end the search with what is known so far. Raises
    otherwise as `run_probe` does.
    """
    history = list(known)
    ends = (space.cap(space.place(space.low)), space.cap(space.place(space.high)))
    bench.on_event(SearchBegan(*ends, space.tolerance, 1 + space.bisections))
    try:
        while not isinstance(step := next_step(space, history), Ended):
            at_most = max(1 + space.bisections, len(history) + 1)
            left_s = _mean_s(history) * (at_most - len(history)) if history else None
            started = ProbeStarted(len(history) + 1, at_most, step.cap, left_s, step.note)
            bench.on_event(started)
            history.append(bench.probe(subject, step.cap, is_first=not history))
            bench.on_event(ProbeEnded(started.index, history[-1]))
    except (KeyboardInterrupt, Stopped):
        return conclude(space, history, Ended(Verdict.INTERRUPTED))
    return conclude(space, history, step)


def conclude(space: SearchSpace, history: Sequence[ProbeResult], ended: Ended) -> SearchResult:
    """What the probes of a search have shown once it has ended so. Pure."""
    warnings = (*ended.warnings, *_about_leaks(history))
    if not any(probe.passed for probe in history):
        return SearchResult(ended.verdict, tuple(history), warnings=warnings)
    seen = Bounds.of(space, history)
    failing = seen.highest_failing
    if ended.verdict is Verdict.DOES_NOT_HONOUR:
        peaks = [probe.highest_mib for probe in seen.passing]
    else:
        lowest = seen.lowest_passing.cap
        peaks = [probe.highest_mib for probe in seen.passing if probe.cap == lowest]
        if failing is not None and failing.outcome.is_memory:
            # What sampling missed, the cap has shown.
            peaks.append(failing.cap.mib(space.capacity_mib))
    return SearchResult(
        ended.verdict,
        tuple(history),
        lowest_passing=seen.lowest_passing.cap,
        highest_failing=None if failing is None else failing.cap,
        peak_mib=max((mib for mib in peaks if mib is not None), default=None),
        warnings=warnings,
    )


def crowding(devices: Devices, gpu: str) -> str | None:
    """Who holds much of a card that is to be measured on; None when it is free enough."""
    backend = devices.backend
    capacity_mib = next((each.capacity_mib for each in devices.gpus if each.uuid == gpu), 0)
    used_mib = None if backend is None else backend.read_used_mib(gpu)
    if backend is None or used_mib is None or used_mib < _CROWDED_SHARE * capacity_mib:
        return None
    uses = sorted(backend.read_processes(gpu) or (), key=lambda use: -(use.used_mib or 0))
    named = [
        describe(use.pid) + ("" if use.used_mib is None else f" with {format_gib(use.used_mib)}")
        for use in uses
    ]
    holders = ", ".join(named) or "processes that cannot be seen from here"
    return (
        f"{format_gib(used_mib)} of the card's {format_gib(capacity_mib)} are taken by others: "
        f"{holders}"
    )


def _mean_s(history: Sequence[ProbeResult]) -> float:
    return sum(probe.total_s for probe in history) / len(history)


def _about_leaks(history: Sequence[ProbeResult]) -> tuple[str, ...]:
    worst = max(history, key=lambda probe: probe.leak_mib, default=None)
    if worst is None or not worst.leak_mib:
        return ()
    by = f", held by {', '.join(worst.survivors)}" if worst.survivors else ""
    return (f"{format_gib(worst.leak_mib)} did not come back when the test had ended{by}",)
