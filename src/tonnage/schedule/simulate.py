"""A run in simulated time: the same placing rule as the real one, an event for each end. Pure."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.decide import decide
from tonnage.schedule.fit import reserved_mib
from tonnage.schedule.model import Decision, Job, Machine, Running, Schedule
from tonnage.schedule.orders import USUAL, length_s
from tonnage.schedule.play import play, remaining_s

Policy = Callable[[Backlog, Sequence[Running], Machine, float], Decision]

# With more pending GPU jobs than this the end is predicted by dividing the work, not by playing it.
_PLAYED_JOBS = 500


def simulate(
    jobs: Iterable[Job],
    machine: Machine,
    durations_s: Mapping[str, float],
    policy: Policy = decide,
) -> Schedule:
    """Run `jobs` under `policy` in simulated time.

    The policy knows the jobs' estimates; `durations_s` becomes known to it only as jobs end. Jobs
    must be placeable (schedule.bounds.unplaceable), and a policy that starts nothing on an idle
    machine is an error (RuntimeError).
    """
    backlog = Backlog(jobs)
    running: dict[str, Running] = {}
    ends: list[tuple[float, int, str]] = []
    spans: dict[str, tuple[float, float, tuple[str, ...]]] = {}
    now_s = 0.0
    while backlog or ends:
        for placement in policy(backlog, list(running.values()), machine, now_s).placements:
            job = placement.job
            backlog.discard(job.id)
            end_s = now_s + durations_s[job.id]
            running[job.id] = Running(
                job, placement.gpus, now_s, held_mib(job, placement.gpus, machine)
            )
            spans[job.id] = (now_s, end_s, placement.gpus)
            heapq.heappush(ends, (end_s, job.order, job.id))
        if not ends:
            raise RuntimeError(f"the policy starts none of {len(backlog)} jobs on an idle machine")
        now_s = ends[0][0]
        while ends and ends[0][0] <= now_s:
            del running[heapq.heappop(ends)[2]]
    return Schedule(spans, now_s)


def held_mib(job: Job, gpus: Sequence[str], machine: Machine) -> tuple[int, ...]:
    """What a job that has just been placed holds on each of its GPUs."""
    cards = {gpu.id: gpu for gpu in machine.gpus}
    return tuple(reserved_mib(job, cards[gpu]) for gpu in gpus)


def predict_end_s(
    backlog: Backlog, running: Sequence[Running], machine: Machine, now_s: float
) -> float | None:
    """When the last job is expected to end; None when no duration is known or some cannot start."""
    known = any(group.head.estimate_s is not None for group in backlog.groups)
    if not known and not any(each.job.estimate_s is not None for each in running):
        return None
    pending_s = sum(length_s(group.head) * group.head.cpus * group.left for group in backlog.groups)
    running_s = sum(remaining_s(each, now_s) * each.job.cpus for each in running)
    longest_s = max((length_s(group.head) for group in backlog.groups), default=0.0)
    ends_s = [
        now_s + (pending_s + running_s) / machine.slots,
        now_s + longest_s,
        *(now_s + remaining_s(each, now_s) for each in running),
    ]
    if 0 < backlog.gpu_jobs <= _PLAYED_JOBS:
        ends_s.append(play(backlog, running, machine, now_s, USUAL))
    end_s = max(ends_s)
    return None if end_s == float("inf") else end_s
