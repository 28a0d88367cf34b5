"""What a run is doing right now: what runs, what waits and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tonnage.units import format_duration, format_gib, plural

_MOST_WAITING = 20


@dataclass(frozen=True, slots=True)
class RunningNow:
    """A test that runs, since `began_s`. Memory is MiB per GPU."""

    node_id: str
    began_s: float
    gpus: tuple[str, ...]
    reserved_mib: int
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class WaitingNow:
    """Tests that wait for the same thing: the first in line, how many there are, and for what."""

    first: str
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The run at one moment."""

    ended: int
    running: Sequence[RunningNow]
    waiting: Sequence[WaitingNow]


def status_lines(status: RunStatus, labels: Mapping[str, str], now_s: float) -> list[str]:
    """The status for people. `labels` names the GPUs."""
    pending = sum(each.count for each in status.waiting)
    lines = [
        f"after {format_duration(now_s)}: {plural(status.ended, 'test')} ended, "
        f"{len(status.running)} running, {pending} waiting"
    ]
    for running in sorted(status.running, key=lambda each: each.began_s):
        line = f"  running {format_duration(now_s - running.began_s):>7}"
        if running.timeout_s is not None:
            line += f" of {format_duration(running.timeout_s)}"
        if running.gpus:
            where = ", ".join(labels.get(gpu, gpu) for gpu in running.gpus)
            line += f"  {where} ({format_gib(running.reserved_mib)} reserved)"
        lines.append(f"{line}  {running.node_id}")
    for waiting in status.waiting[:_MOST_WAITING]:
        more = f" and {plural(waiting.count - 1, 'other')}" if waiting.count > 1 else ""
        lines.append(f"  waiting  {waiting.first}{more}: {waiting.why}")
    rest = sum(waiting.count for waiting in status.waiting[_MOST_WAITING:])
    if rest:
        lines.append(f"  waiting  {plural(rest, 'test')} more, for other things")
    return lines
