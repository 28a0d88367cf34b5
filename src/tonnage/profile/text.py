"""A profile for people: progress lines, the result, the markers to copy. Pure."""

import shlex
from collections.abc import Sequence
from textwrap import shorten

from tonnage.devices.backend import DeviceGpu
from tonnage.profile.cards import cards_that_fit
from tonnage.profile.model import (
    Cap,
    CapKind,
    Phase,
    ProbeResult,
    ProbeStarted,
    ProfileEvent,
    SearchBegan,
    SearchResult,
    Verdict,
)
from tonnage.profile.recommend import Recommendation, safe_gib
from tonnage.units import MIB_PER_GIB, format_duration, format_gib

_WIDTH = 72
_IN_WORDS = {
    Verdict.FAILS_ON_ITS_OWN: "the test fails on its own: at the largest cap, and not for memory",
    Verdict.DOES_NOT_FIT: "the test runs out of memory at the largest cap",
    Verdict.DOES_NOT_HONOUR: "the test does not honour the cap: what it holds does not follow it",
    Verdict.FLAKY: "the test passes and fails at one and the same cap",
    Verdict.SKIPPED: "the test skips itself",
    Verdict.INTERRUPTED: "interrupted: this is what was known by then",
}


def card_line(gpu: DeviceGpu, used_mib: int | None) -> str:
    """One card and what is in use on it now, by anyone; None: the driver does not say."""
    in_use = "" if used_mib is None else f", {_memory(used_mib)} in use"
    return f"GPU {gpu.index}: {format_gib(gpu.capacity_mib)}{in_use}"


def event_line(event: ProfileEvent, capacity_mib: int) -> str:
    """One line for the beginning of a search, and the beginning or end of a probe."""
    if isinstance(event, SearchBegan):
        return _search_line(event, capacity_mib)
    if isinstance(event, ProbeStarted):
        rest = "" if event.left_s is None else f", about {format_duration(event.left_s)} left"
        note = f"  [{event.note}]" if event.note else ""
        return f"[probe {event.index}/{event.at_most}] {_cap(event.cap, capacity_mib)}{note}{rest}"
    result = event.result
    word = "PASS" if result.passed else "FAIL"
    times = f"test took {format_duration(result.wall_s)}, probe {format_duration(result.total_s)}"
    if result.passed:
        return f"[{word}] peak {_memory(result.highest_mib)}, {times}"
    why = result.outcome.value.replace("_", " ")
    said = f": {shorten(result.reason, 100, placeholder=' ...')}" if result.reason.strip() else ""
    return f"[{word}] {why}{said}, {times}"


def _search_line(event: SearchBegan, capacity_mib: int) -> str:
    variable = next(iter(event.low.environment()))
    ends = f"{_cap(event.low, capacity_mib)} to {_cap(event.high, capacity_mib)}"
    exactly = f"a ratio of {event.tolerance:g}"
    if event.low.kind is CapKind.FRACTION:
        exactly = f"{event.tolerance:.1%} of the card"
    return f"searching {variable} from {ends}, to within {exactly}: at most {event.at_most} probes"


def probe_lines(probe: ProbeResult) -> list[str]:
    """Everything one probe measured: memory, phases, leak, utilisation."""
    lines = [
        f"peak         : {_memory(probe.peak_mib)}{_at(probe.peak_at_s)}",
        f"mean         : {_memory(probe.mean_mib)}",
        f"baseline     : {_memory(probe.baseline_mib)}",
        f"measured by  : {probe.method or 'nothing: the driver did not answer'}",
    ]
    if probe.counted_peak_mib is not None:
        lines.insert(1, f"counted      : {_memory(probe.counted_peak_mib)} by the framework itself")
    if len(probe.peak_by_gpu) > 1:
        peaks = ", ".join(f"{uuid} {_memory(mib)}" for uuid, mib in probe.peak_by_gpu.items())
        lines.append(f"by GPU       : {peaks}")
    lines.append(f"leak         : {_memory(probe.leak_mib) if probe.leak_mib else 'none'}")
    if probe.utilisation_mean is not None:
        lines.append(
            f"utilisation  : {probe.utilisation_mean:.0f}% on average, "
            f"{probe.utilisation_peak or 0}% at most"
        )
    lines.append(f"host memory  : {_memory(probe.host_peak_mib)} at most")
    lines += [f"left running : {survivor}" for survivor in probe.survivors]
    lines += [f"phase        : {phase.name.value}, {_phase(phase)}" for phase in probe.phases]
    return lines


def result_lines(result: SearchResult, capacity_mib: int) -> list[str]:
    """What a search found, or why it found nothing."""
    lines = []
    if result.verdict is not Verdict.FOUND:
        lines.append(_IN_WORDS[result.verdict])
        last = result.probes[-1] if result.probes else None
        if last is not None and not last.passed:
            said = last.reason or last.output_tail
            lines += [f"  {line}" for line in said.splitlines()[-15:]]
    if result.lowest_passing is not None and result.lowest_passing.kind is not CapKind.NONE:
        lines.append(f"lowest passing cap  : {_cap(result.lowest_passing, capacity_mib)}")
    if result.highest_failing is not None:
        lines.append(f"highest failing cap : {_cap(result.highest_failing, capacity_mib)}")
    if result.peak_mib:
        safe = safe_gib(result.peak_mib)
        fitting, too_small = cards_that_fit(safe)
        lines.append(f"peak observed       : {_memory(result.peak_mib)}")
        lines.append(f"to declare          : {safe} GiB (+10% safety, rounded up)")
        lines.append(f"fits on             : {', '.join(map(str, fitting)) or 'none of these'}")
        if too_small:
            lines.append(f"runs out of memory  : {', '.join(map(str, too_small))}")
    elif result.peak_mib == 0:
        lines.append("peak observed       : none, no sample saw it hold memory of a GPU")
    lines += [f"WARNING: {warning}" for warning in result.warnings]
    return lines


def marker_lines(recommendation: Recommendation, command: Sequence[str]) -> list[str]:
    """The decorators to copy, with their reasons; those the test has already are marked so."""
    lines = [f"# Measured using: {shlex.join(command)}"]
    for mark in recommendation.marks:
        there = "already there; " if mark.is_there else ""
        lines.append(f"@pytest.mark.{mark.text}  # {there}{mark.reason}")
    if recommendation.warnings:
        lines.append("")
        lines += [f"WARNING: {warning}" for warning in recommendation.warnings]
    return lines


def table_lines(rows: Sequence[tuple[str, SearchResult | None]]) -> list[str]:
    """One line a test: its peak, time, probes and the memory to declare. None: not profiled."""
    lines = [f"{'peak':>9} {'declare':>8} {'time':>8} {'probes':>6}  test"]
    for node_id, result in rows:
        if result is None:
            lines.append(f"{'-':>9} {'-':>8} {'-':>8} {'-':>6}  {node_id} (not profiled)")
            continue
        passed = [probe for probe in result.probes if probe.passed]
        time = format_duration(passed[-1].wall_s) if passed else "-"
        declare = f"{safe_gib(result.peak_mib)} GiB" if result.peak_mib else "-"
        verdict = "" if result.verdict is Verdict.FOUND else f" ({_words(result.verdict)})"
        lines.append(
            f"{_memory(result.peak_mib):>9} {declare:>8} {time:>8} {len(result.probes):>6}  "
            f"{node_id}{verdict}"
        )
    return lines


def section(title: str, lines: Sequence[str], *, indent: bool = True) -> list[str]:
    """A titled block between rules. What is to be copied is not indented."""
    rule = "=" * _WIDTH
    margin = "  " if indent else ""
    return [rule, title, rule, *(f"{margin}{line}".rstrip() for line in lines), ""]


def _words(verdict: Verdict) -> str:
    return verdict.value.replace("_", " ")


def _cap(cap: Cap, capacity_mib: int) -> str:
    return cap.text(capacity_mib)


def _memory(mib: int | None) -> str:
    if mib is None:
        return "unknown"
    # Below one GiB a decimal says too little.
    return format_gib(mib) if mib >= MIB_PER_GIB else f"{mib} MiB"


def _at(seconds: float | None) -> str:
    return "" if seconds is None else f", {format_duration(seconds)} after the start"


def _phase(phase: Phase) -> str:
    return (
        f"{format_duration(phase.duration_s)}, {_memory(phase.mean_mib)} on average, "
        f"{_memory(phase.peak_mib)} at most"
    )
