"""The block at the end of a run, as plain lines."""

from collections.abc import Iterable, Sequence

from tonnage.record.events import AttemptFinished
from tonnage.report.figures import Drift, GpuUse, Summary, summarise
from tonnage.units import format_duration, format_gib, plural

__all__ = ["Summary", "summarise", "summary_lines"]

_MOST_DRIFTS = 20


def summary_lines(summary: Summary) -> list[str]:
    """What is worth saying about a run; nothing at all when no test ran and nothing was noticed."""
    lines = [f"note: {notice}" for notice in summary.notices]
    if not summary.tests:
        return lines
    lines += _times(summary)
    lines += [_gpu_line(use) for use in summary.gpus]
    lines += _section("Timeouts, crashes and out-of-memory", map(_attempt_line, summary.broken))
    lines += _section("Tried more than once", map(_attempt_line, summary.retried))
    labels = {use.gpu.uuid: use.gpu.label for use in summary.gpus}
    lines += _section(
        "GPU memory that did not come back, and so stayed reserved",
        (
            f"{leak.node_id} left {format_gib(leak.leaked_mib)} on {labels.get(leak.gpu, leak.gpu)}"
            for leak in summary.leaks
        ),
    )
    lines += _drift_lines(summary.drifts)
    lines += _section(
        f"Slowest {plural(len(summary.slowest), 'test')}",
        (f"{format_duration(each.duration_s):>8}  {each.node_id}" for each in summary.slowest),
    )
    return lines


def _times(summary: Summary) -> list[str]:
    line = f"makespan {format_duration(summary.makespan_s)}"
    if summary.lower_bound is not None:
        bound = summary.lower_bound
        line += f" (at best {format_duration(bound.seconds)}: {bound.resource})"
    line += f"; one after another {format_duration(summary.sum_s)}"
    if summary.speed_up is not None and summary.speed_up >= 1.05:
        line += f"; {summary.speed_up:.1f} times as fast"
    return [line]


def _gpu_line(use: GpuUse) -> str:
    return (
        f"{use.gpu.label}: {_percent(use.used)} of {format_gib(use.gpu.capacity_mib)} used, "
        f"{_percent(use.reserved)} reserved, on average over time"
    )


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{fraction:.0%}"


def _attempt_line(event: AttemptFinished) -> str:
    words = event.outcome.value.replace("_", " ")
    attempt = f", attempt {event.attempt}" if event.attempt > 1 else ""
    attempt += f", after {plural(event.reruns, 'rerun')}" if event.reruns else ""
    reason = f": {event.reason.splitlines()[0]}" if event.reason.strip() else ""
    return f"{event.node_id} ({words}{attempt}){reason}"


def _drift_lines(drifts: Sequence[Drift]) -> list[str]:
    rows = [
        f"{_drifting(drift)}: declared {format_gib(drift.declared_mib)}, peak "
        f"{format_gib(drift.peak_mib)} ({drift.method}) -> "
        f"@pytest.mark.max_vram_gib({drift.declare_gib:g})"
        for drift in drifts[:_MOST_DRIFTS]
    ]
    if len(drifts) > _MOST_DRIFTS:
        rows.append(f"... and {len(drifts) - _MOST_DRIFTS} more")
    return _section("Declared VRAM that does not match what was measured", rows)


def _drifting(drift: Drift) -> str:
    return drift.test if drift.cases == 1 else f"{drift.test} ({plural(drift.cases, 'case')})"


def _section(title: str, rows: Iterable[str]) -> list[str]:
    listed = [f"  {row}" for row in rows]
    return [f"{title}:", *listed] if listed else []
