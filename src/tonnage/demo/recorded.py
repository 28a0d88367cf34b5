"""From a trace file back to events, and the moment of them that is worth a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    EndPredicted,
    Event,
    GpuDescription,
    GpuSampled,
    PlannedTest,
    RunStarted,
    TestsCollected,
)
from tonnage.record.outcomes import Outcome
from tonnage.report.trace import FIRST_GPU_PID, PREDICTED_END


def events_of_trace(trace: Mapping[str, Any]) -> list[Event]:
    """The run that a trace of ours shows: its GPUs, attempts and readings, in order of time."""
    totals = trace["otherData"]
    gpus = tuple(GpuDescription(**gpu) for gpu in totals["gpus"])
    uuids = {pid: gpu.uuid for pid, gpu in enumerate(gpus, FIRST_GPU_PID)}
    bars: dict[tuple[str, int], tuple[Mapping[str, Any], list[str]]] = {}
    happened: list[Event] = []
    used: dict[str, int] = {}
    reserved: dict[str, int] = {}
    for row in trace["traceEvents"]:
        if row["ph"] == "X":
            key = (row["args"]["node_id"], row["args"]["attempt"])
            on = bars.setdefault(key, (row, []))[1]
            if row["pid"] in uuids:
                on.append(uuids[row["pid"]])
        elif row["ph"] == "C" and row["name"] == PREDICTED_END:
            happened.append(EndPredicted(row["ts"] / 1e6, row["args"]["s"]))
        elif row["ph"] == "C" and row["pid"] in uuids:
            uuid = uuids[row["pid"]]
            values = used if row["name"] == "VRAM used" else reserved
            values[uuid] = row["args"]["MiB"]
            happened.append(
                GpuSampled(row["ts"] / 1e6, uuid, used.get(uuid), 0, reserved.get(uuid, 0))
            )
    for (node_id, attempt), (row, on) in bars.items():
        happened += _attempt(node_id, attempt, row, tuple(on))
    timeouts = {node_id: row["args"].get("timeout_s") for (node_id, _), (row, _) in bars.items()}
    planned = tuple(
        PlannedTest(node_id, 0, 0, None, 1, timeout_s, None)
        for node_id, timeout_s in timeouts.items()
    )
    return [
        RunStarted(0.0, 0.0, gpus, totals["slots"], ""),
        TestsCollected(0.0, planned),
        *sorted(happened, key=lambda event: event.at_s),
    ]


def fullest_moment_s(events: Sequence[Event]) -> float:
    """When most tests were on the GPUs, and of such moments the one with most memory in use."""
    used: dict[str, int] = {}
    on_gpus: set[str] = set()
    fullest, moment_s = (0, 0), 0.0
    for event in events:
        match event:
            case AttemptStarted() if event.gpus:
                on_gpus.add(event.node_id)
            case AttemptFinished():
                on_gpus.discard(event.node_id)
            case GpuSampled():
                used[event.gpu] = event.used_mib or 0
        if fullest < (now := (len(on_gpus), sum(used.values()))):
            fullest, moment_s = now, event.at_s
    return moment_s


def _attempt(
    node_id: str, attempt: int, row: Mapping[str, Any], gpus: tuple[str, ...]
) -> list[Event]:
    begin_s, seconds, args = row["ts"] / 1e6, row["dur"] / 1e6, row["args"]
    start = AttemptStarted(begin_s, node_id, attempt, gpus, args["reserved_mib"], row["tid"] - 1)
    if args["outcome"] == "unfinished":
        return [start]
    return [
        start,
        AttemptFinished(
            begin_s + seconds,
            node_id,
            attempt,
            Outcome(args["outcome"]),
            seconds,
            args.get("peak_mib"),
            args.get("method"),
            args.get("reason", ""),
        ),
    ]
