"""The packing plan of a run, as a value: what `--dry-run` shows. Pure.

It comes from the same `decide` that runs the tests, in simulated time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tonnage.execute.batches import batches_of, job_of
from tonnage.execute.jobs import RunTest
from tonnage.record.events import GpuDescription
from tonnage.schedule.bounds import lower_bound, unplaceable
from tonnage.schedule.model import Machine
from tonnage.schedule.simulate import simulate
from tonnage.units import format_duration, format_gib, gib_from_mib, plural

# What a test without any estimate counts as. An assumption, and shown as one.
UNKNOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class PlannedStart:
    """One test in the plan. Times are seconds from the start; memory is MiB per GPU."""

    node_id: str
    start_s: float
    duration_s: float
    is_estimated: bool
    gpus: tuple[str, ...]
    reserved_mib: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would run, when and where, and what cannot run and why."""

    starts: tuple[PlannedStart, ...]
    refused: tuple[tuple[str, str], ...]
    makespan_s: float
    lower_bound_s: float
    lower_bound_resource: str
    unknown: int


def make_plan(tests: Sequence[RunTest], machine: Machine, gpus: Sequence[GpuDescription]) -> Plan:
    """Plan these tests on this machine."""
    refused: list[tuple[str, str]] = []
    placeable: list[RunTest] = []
    for test in tests:
        reason = test.problem or unplaceable(test.job, machine)
        if reason is None:
            placeable.append(test)
        else:
            refused.append((test.node_id, reason))
    batches = batches_of(placeable)
    jobs = [job_of(batch) for batch in batches.values()]
    durations = {name: sum(map(_duration_s, batch)) for name, batch in batches.items()}
    schedule = simulate(jobs, machine, durations)
    bound = lower_bound(jobs, machine, durations)
    labels = {gpu.uuid: gpu.label for gpu in gpus}
    starts: list[PlannedStart] = []
    for name, batch in batches.items():
        start_s, _, cards = schedule.spans[name]
        for test in batch:
            starts.append(
                PlannedStart(
                    node_id=test.node_id,
                    start_s=start_s,
                    duration_s=_duration_s(test),
                    is_estimated=test.job.estimate_s is not None,
                    gpus=tuple(labels[gpu] for gpu in cards),
                    reserved_mib=test.job.vram_mib if test.job.gpus else 0,
                )
            )
            start_s += _duration_s(test)
    starts.sort(key=lambda start: (start.start_s, not start.gpus))
    return Plan(
        starts=tuple(starts),
        refused=tuple(refused),
        makespan_s=schedule.makespan_s,
        lower_bound_s=bound.seconds,
        lower_bound_resource=bound.resource,
        unknown=sum(test.job.estimate_s is None for test in placeable),
    )


def _duration_s(test: RunTest) -> float:
    return UNKNOWN_S if test.job.estimate_s is None else test.job.estimate_s


def plan_lines(plan: Plan, *, every_test: bool) -> list[str]:
    """The plan for people; tests that need no GPU are summed up unless `every_test`."""
    count = len(plan.starts)
    lines = [
        f"{plural(count, 'test')} planned: predicted makespan {format_duration(plan.makespan_s)}, "
        f"lower bound {format_duration(plan.lower_bound_s)} ({plan.lower_bound_resource})"
        if count
        else "no test would run"
    ]
    if plan.unknown:
        lines.append(
            f"{plural(plan.unknown, 'test')} without a timeout or history, counted as "
            f"{format_duration(UNKNOWN_S)}{' each' if plan.unknown > 1 else ''}"
        )
    shown = [start for start in plan.starts if start.gpus or every_test]
    if shown:
        lines.append(f"{'start':>8}  {'for':>7}  {'GPUs':<14} {'VRAM each':>9}  test")
    lines.extend(
        f"{format_duration(start.start_s):>8}  {format_duration(start.duration_s):>7}  "
        f"{', '.join(start.gpus) or '-':<14} {_reserved(start):>9}  {start.node_id}"
        for start in shown
    )
    if len(shown) < count:
        lines.append(f"and {plural(count - len(shown), 'test')} that need no GPU, in the gaps")
    if plan.refused:
        lines.append("cannot run here:")
        lines.extend(f"  {node_id}: {reason}" for node_id, reason in plan.refused)
    return lines


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan for machines. Times in seconds, memory in GiB."""
    return {
        "makespan_s": plan.makespan_s,
        "lower_bound_s": plan.lower_bound_s,
        "lower_bound_resource": plan.lower_bound_resource,
        "unknown_durations": plan.unknown,
        "tests": [
            {
                "id": start.node_id,
                "start_s": start.start_s,
                "duration_s": start.duration_s,
                "duration_is_estimated": start.is_estimated,
                "gpus": list(start.gpus),
                "reserved_gib": (
                    None if start.reserved_mib is None else gib_from_mib(start.reserved_mib)
                ),
            }
            for start in plan.starts
        ],
        "refused": [{"id": node_id, "reason": reason} for node_id, reason in plan.refused],
    }


def _reserved(start: PlannedStart) -> str:
    if not start.gpus:
        return "-"
    return "whole" if start.reserved_mib is None else format_gib(start.reserved_mib)
