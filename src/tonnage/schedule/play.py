"""Playing the future: what one list order would lead to, by the estimates. Pure.

Only jobs that need a GPU are played. The others fit in anywhere, so that together they are work
that the slots must do, whatever the order.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.fit import Free
from tonnage.schedule.model import Job, Machine, Running
from tonnage.schedule.orders import Order, length_s
from tonnage.schedule.passing import start_all

Lengths = Callable[[Job], float]  # how many seconds a job is taken to last

# A running job that is past its estimate is expected to take this share of it more.
_OVERDUE_SHARE = 0.1


@dataclass(slots=True)
class _Line:
    """A group as the play sees it; the backlog's stays as it is."""

    head: Job
    kind: int
    vram_mib: int
    left: int


def remaining_s(running: Running, now_s: float, lengths_s: Lengths = length_s) -> float:
    """How much longer a running job is expected to take; 0 when it has ended."""
    if running.slots_held == 0:
        return 0.0
    expected_s = lengths_s(running.job)
    return max(expected_s - (now_s - running.started_s), expected_s * _OVERDUE_SHARE)


def play(
    backlog: Backlog,
    running: Iterable[Running],
    machine: Machine,
    now_s: float,
    order: Order,
    *,
    lengths_s: Lengths = length_s,
    give_up_s: float = float("inf"),
) -> float:
    """When the last of the jobs that need a GPU would end under this order.

    Infinity when some could never start. A play that gets past `give_up_s` has lost and stops.
    Memory of jobs that have ended is back right after the first starts.
    """
    lines: list[_Line] = []
    smallest_mib: dict[int, int] = {}
    lines_of_kind: dict[int, int] = {}
    for _, _, group in backlog.sorted_by(order.key):
        if not group.head.gpus:
            break
        kind = group.kind
        lines.append(_Line(group.head, kind, group.vram_mib, group.left))
        smallest_mib[kind] = min(group.vram_mib, smallest_mib.get(kind, group.vram_mib))
        lines_of_kind[kind] = lines_of_kind.get(kind, 0) + 1
    free = Free(machine, running)
    ends: list[tuple[float, int, Job, tuple[str, ...], tuple[int, ...], int | None]] = []
    for number, each in enumerate(running):
        end_s = now_s + remaining_s(each, now_s, lengths_s)
        ends.append((end_s, number, each.job, each.gpus, free.held_mib(each), each.slots_held))
    heapq.heapify(ends)
    number = len(ends)
    at_s = last_end_s = now_s
    while lines:
        starts = start_all(lines, smallest_mib, free)
        for start in starts:
            number += 1
            line = start.group
            end_s = at_s + lengths_s(line.head)
            last_end_s = max(last_end_s, end_s)
            heapq.heappush(ends, (end_s, number, line.head, start.gpus, start.held_mib, None))
            line.left -= 1
            if not line.left:
                lines_of_kind[line.kind] -= 1
                if not lines_of_kind[line.kind]:
                    del smallest_mib[line.kind]
        if last_end_s > give_up_s:
            return last_end_s
        if starts:
            lines = [line for line in lines if line.left]
        if not lines:
            break
        if not ends:
            return float("inf")
        at_s = ends[0][0]
        while ends and ends[0][0] <= at_s:
            _, _, job, gpus, held_mib, slots_held = heapq.heappop(ends)
            free.release(job, gpus, held_mib, slots_held)
    return max(last_end_s, max((end[0] for end in ends if end[3]), default=now_s))
