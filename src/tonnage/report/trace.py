"""Events as a Chrome trace: a track per GPU with its tests and its VRAM, and one for the CPU.

The format is the JSON of Chrome's Trace Event Format, which Perfetto reads too.
Times in it are microseconds since the run began.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tonnage.errors import TonnageError
from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    EndPredicted,
    Event,
    GpuDescription,
    GpuSampled,
    RunStarted,
    TestsCollected,
)
from tonnage.report.figures import summarise

_CPU_PID = 1
FIRST_GPU_PID = 2
PREDICTED_END = "predicted end"


class _Lanes:
    """The rows of one track: a test takes the lowest that is free, so bars never overlap."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self.count = 0

    def take(self, node_id: str) -> int:
        taken = set(self._held.values())
        lane = next(each for each in range(len(taken) + 1) if each not in taken)
        self._held[node_id] = lane
        self.count = max(self.count, lane + 1)
        return lane

    def give_back(self, node_id: str) -> int:
        return self._held.pop(node_id)


class _Tracks:
    """Builds the list of trace events in the order things happened."""

    def __init__(self, gpus: Sequence[GpuDescription]) -> None:
        self.pids = {gpu.uuid: pid for pid, gpu in enumerate(gpus, FIRST_GPU_PID)}
        self.lanes = {pid: _Lanes() for pid in (_CPU_PID, *self.pids.values())}
        self.rows: list[dict[str, Any]] = []
        self._running: dict[str, AttemptStarted] = {}
        self._counters: dict[tuple[int, str], float] = {}
        self._timeouts_s: dict[str, float] = {}

    def plan(self, event: TestsCollected) -> None:
        self._timeouts_s = {
            test.node_id: test.timeout_s for test in event.tests if test.timeout_s is not None
        }

    def start(self, event: AttemptStarted) -> None:
        self._running[event.node_id] = event
        for pid in self._pids(event.gpus):
            self.lanes[pid].take(event.node_id)

    def finish(self, event: AttemptFinished) -> None:
        started = self._running.pop(event.node_id, None)
        if started is None:
            return
        details: dict[str, Any] = {"outcome": event.outcome.value}
        if event.peak_mib is not None:
            details |= {"peak_mib": event.peak_mib, "method": event.method}
        if event.reason:
            details["reason"] = event.reason
        lanes = self._bars(started, event.at_s, details)
        if event.outcome.is_failure:
            for pid, lane in lanes:
                self.rows.append(
                    {
                        "name": f"{event.outcome.value}: {_short(event.node_id)}",
                        "ph": "i",
                        "s": "t",
                        "ts": _us(event.at_s),
                        "pid": pid,
                        "tid": lane + 1,
                        "args": {"reason": event.reason},
                    }
                )

    def sample(self, event: GpuSampled) -> None:
        pid = self.pids.get(event.gpu)
        if pid is None:
            return
        self._count(event.at_s, pid, "VRAM reserved", "MiB", event.reserved_mib)
        if event.used_mib is not None:
            self._count(event.at_s, pid, "VRAM used", "MiB", event.used_mib)

    def predict(self, event: EndPredicted) -> None:
        self._count(event.at_s, _CPU_PID, PREDICTED_END, "s", round(event.end_s, 1))

    def _count(self, at_s: float, pid: int, name: str, unit: str, value: float) -> None:
        # A counter keeps its value until the next point: repeating it only adds bytes.
        if self._counters.get((pid, name)) == value:
            return
        self._counters[pid, name] = value
        self.rows.append(
            {
                "name": name,
                "ph": "C",
                "ts": _us(at_s),
                "pid": pid,
                "tid": 0,
                "args": {unit: value},
            }
        )

    def close(self, at_s: float) -> None:
        for started in list(self._running.values()):
            self._bars(started, at_s, {"outcome": "unfinished"})
        self._running.clear()

    def _bars(
        self, started: AttemptStarted, end_s: float, details: dict[str, Any]
    ) -> list[tuple[int, int]]:
        lanes = [
            (pid, self.lanes[pid].give_back(started.node_id)) for pid in self._pids(started.gpus)
        ]
        begin_us = _us(started.at_s)
        timeout_s = self._timeouts_s.get(started.node_id)
        if timeout_s is not None:
            details = {"timeout_s": timeout_s, **details}
        for pid, lane in lanes:
            self.rows.append(
                {
                    "name": _short(started.node_id),
                    "cat": "test",
                    "ph": "X",
                    "ts": begin_us,
                    "dur": max(0, _us(end_s) - begin_us),
                    "pid": pid,
                    "tid": lane + 1,
                    "args": {
                        "node_id": started.node_id,
                        "attempt": started.attempt,
                        "reserved_mib": started.reserved_mib,
                        **details,
                    },
                }
            )
        return lanes

    def _pids(self, gpus: Iterable[str]) -> list[int]:
        return [self.pids[uuid] for uuid in gpus if uuid in self.pids] or [_CPU_PID]


def chrome_trace(events: Sequence[Event]) -> dict[str, Any]:
    """The trace of a run: `traceEvents` as the format says, totals under `otherData`."""
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    gpus = started.gpus if started else ()
    tracks = _Tracks(gpus)
    for event in events:
        match event:
            case TestsCollected():
                tracks.plan(event)
            case EndPredicted():
                tracks.predict(event)
            case AttemptStarted():
                tracks.start(event)
            case AttemptFinished():
                tracks.finish(event)
            case GpuSampled():
                tracks.sample(event)
    tracks.close(max((event.at_s for event in events), default=0.0))
    return {
        "traceEvents": _names(gpus, tracks) + sorted(tracks.rows, key=lambda row: row["ts"]),
        "displayTimeUnit": "ms",
        "otherData": _totals(events, gpus, started),
    }


def write_trace(path: Path, events: Sequence[Event]) -> None:
    """Write the trace to `path`, whole or not at all. Raises TonnageError when it cannot be."""
    text = json.dumps(chrome_trace(events), separators=(",", ":"))
    temporary: str | None = None
    try:
        path = Path(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise TonnageError(
            f"cannot write the trace to {path}: {error.strerror or error}",
            where="--pack-trace",
            remedy="Give a file in a directory that exists and can be written to.",
        ) from error


def _names(gpus: Sequence[GpuDescription], tracks: _Tracks) -> list[dict[str, Any]]:
    """Metadata: what each track and each of its rows is called."""
    titles = {_CPU_PID: "CPU tests"}
    titles |= {
        tracks.pids[gpu.uuid]: f"{gpu.label} {gpu.name} ({gpu.capacity_mib} MiB)" for gpu in gpus
    }
    rows = []
    for pid, title in titles.items():
        rows.append(_metadata("process_name", pid, 0, name=title))
        rows.append(_metadata("process_sort_index", pid, 0, sort_index=pid))
        rows += [
            _metadata("thread_name", pid, lane, name=f"lane {lane}")
            for lane in range(1, tracks.lanes[pid].count + 1)
        ]
    return rows


def _metadata(kind: str, pid: int, tid: int, **args: Any) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": args}


def _totals(
    events: Sequence[Event], gpus: Sequence[GpuDescription], started: RunStarted | None
) -> dict[str, Any]:
    summary = summarise(events)
    return {
        "makespan_s": summary.makespan_s,
        "lower_bound_s": None if summary.lower_bound is None else summary.lower_bound.seconds,
        "sum_s": summary.sum_s,
        "tests": summary.tests,
        "slots": started.slots if started else 0,
        "gpus": [asdict(gpu) for gpu in gpus],
    }


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _short(node_id: str) -> str:
    return node_id.rpartition("::")[2] or node_id
