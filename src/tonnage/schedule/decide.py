"""The decision: what to start now. Pure, and the same for the same input.

Several list orders (schedule.orders) are played to the end from the present state, by the
estimates, and the first starts of the one that ends first are taken. Every decision looks anew, so
a wrong estimate costs what it misleads, not the rest of the run.
"""

from collections.abc import Sequence

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.fit import Free
from tonnage.schedule.model import Decision, Job, Machine, Placement, Running
from tonnage.schedule.orders import LONGEST, ORDERS, Order
from tonnage.schedule.passing import Group, start_all
from tonnage.schedule.play import play

# Playing costs time in proportion to jobs, orders and cards. Beyond this product of pending jobs
# and cards one order decides alone; with so much to choose from, a poor choice is made up later.
_PLAYED_WORK = 3000


def decide(
    backlog: Backlog, running: Sequence[Running], machine: Machine, now_s: float
) -> Decision:
    """What to start now, in a deterministic order.

    The caller takes the placed jobs out of `backlog` and adds them to `running`. A job that needs
    more than the machine has is never placed (schedule.bounds.unplaceable tells).
    """
    free = Free(machine, running)
    if free.slots <= 0 or not backlog:
        return Decision((), "nothing to start")
    shapes = list(backlog.heads())
    if len(shapes) == 1 and not shapes[0][0].gpus:
        return _start_alike(backlog, shapes[0][0], free)
    starts = _pass(backlog, free, LONGEST)
    if not starts or not any(job.gpus for job, _ in shapes):
        return Decision(starts, LONGEST.name)
    if len(backlog) * max(1, len(machine.gpus)) > _PLAYED_WORK:
        return Decision(starts, LONGEST.name)
    groups = backlog.groups()
    best = play(groups, running, machine, now_s, LONGEST)
    name = LONGEST.name
    for order in ORDERS[1:]:
        other = play(groups, running, machine, now_s, order, best.end_s)
        if other.end_s < best.end_s:
            best, name = other, order.name
    return Decision(best.first, name)


def _pass(backlog: Backlog, free: Free, order: Order) -> tuple[Placement, ...]:
    groups = (Group(jobs[0], jobs) for jobs in backlog.in_order(order.key, free.slots))
    return tuple(Placement(job, gpus) for job, gpus, _ in start_all(groups, free, order))


def _start_alike(backlog: Backlog, head: Job, free: Free) -> Decision:
    """Only interchangeable jobs without a GPU are pending: there is nothing to weigh."""
    count = 0
    while free.allows(head):
        free.place(head, ())
        count += 1
    jobs = backlog.first_of(head, count)
    return Decision(tuple(Placement(job, ()) for job in jobs), "all alike")
