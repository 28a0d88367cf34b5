"""Playing the future: what one list order would lead to, by the estimates. Pure."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.schedule.fit import Free
from tonnage.schedule.model import Job, Machine, Placement, Running
from tonnage.schedule.orders import Order, length_s
from tonnage.schedule.passing import Group, start_all

# A running job that is past its estimate is expected to take this share of it more.
_OVERDUE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Play:
    """A simulated future: when its last job ends, and what it starts right away."""

    end_s: float
    first: tuple[Placement, ...]


def remaining_s(running: Running, now_s: float) -> float:
    """How much longer a running job is expected to take."""
    expected_s = length_s(running.job)
    return max(expected_s - (now_s - running.started_s), expected_s * _OVERDUE_SHARE)


def play(
    groups: Sequence[list[Job]],
    running: Sequence[Running],
    machine: Machine,
    now_s: float,
    order: Order,
    give_up_s: float = float("inf"),
) -> Play:
    """Play the future under one order to its end.

    `groups` are pending jobs of equal shape, in order. A play that gets past `give_up_s` has lost
    and stops there.
    """
    free = Free(machine)
    ends: list[tuple[float, int, Job, tuple[str, ...], tuple[int, ...]]] = []
    number = 0
    for each in running:
        held_mib = free.add(each)
        # What has ended holds memory for a moment more; it is not waited for here.
        if each.slots_held != 0:
            number += 1
            end_s = now_s + remaining_s(each, now_s)
            heapq.heappush(ends, (end_s, number, each.job, each.gpus, held_mib))
    pending = sorted(
        (Group(jobs[0], jobs) for jobs in groups), key=lambda group: order.key(group.head)
    )
    first: list[Placement] = []
    at_s = last_end_s = now_s
    while True:
        for job, gpus, held_mib in start_all(pending, free, order):
            number += 1
            end_s = at_s + length_s(job)
            last_end_s = max(last_end_s, end_s)
            heapq.heappush(ends, (end_s, number, job, gpus, held_mib))
            if at_s == now_s:
                first.append(Placement(job, gpus))
        pending = [group for group in pending if not group.is_empty]
        if not pending or not ends or last_end_s > give_up_s:
            return Play(max(last_end_s, max((end[0] for end in ends), default=at_s)), tuple(first))
        at_s = ends[0][0]
        while ends and ends[0][0] <= at_s:
            _, _, job, gpus, held_mib = heapq.heappop(ends)
            free.release(job, gpus, held_mib)
