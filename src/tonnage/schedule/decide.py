"""The decision: what to start now. Pure, and the same for the same input.

Several list orders (schedule.orders) are played to the end from the present state, by the
estimates, and what the one that ends first starts now is started. Every decision looks anew, so a
wrong estimate costs what it misleads, not the rest of the run. And every order is played several
times, with estimates believed and with estimates drawn together: one that wins only if they are
exactly right is not the best.
"""

from collections.abc import Sequence
from math import exp, log

from tonnage.schedule.backlog import Backlog, shape_of
from tonnage.schedule.fit import Free
from tonnage.schedule.model import Decision, Job, Machine, Placement, Running
from tonnage.schedule.orders import ORDERS, USUAL, Order, length_s
from tonnage.schedule.passing import Start, keep_all, start_all
from tonnage.schedule.play import Lengths, play

# A play takes time in proportion to the jobs in it: so many in all plays of one decision. With
# more to choose from than that, a poor choice is made up later.
_PLAYED_JOBS = 800
# How far estimates are believed, by play: 1 is to the letter, 0 would be that all last as long.
_TRUST = (1.0, 0.6, 0.3)
_LEAST_S = 1e-3  # an estimate of nothing counts as this where estimates are multiplied
# Once so many jobs per slot have overtaken the first in line, its place is kept.
_OVERTAKING_PER_SLOT = 8


def decide(
    backlog: Backlog, running: Sequence[Running], machine: Machine, now_s: float
) -> Decision:
    """What to start now, in a deterministic order.

    The caller takes the placed jobs out of `backlog` and adds them to `running`. A job that needs
    more than the machine has is never placed (schedule.bounds.unplaceable tells). Any other is
    placed in the end: the first in line is overtaken by at most `_OVERTAKING_PER_SLOT` times the
    slots of jobs that want the same, then everything it needs is kept for it.
    """
    free = Free(machine, running)
    if free.slots <= 0 or not backlog:
        return Decision((), "nothing to start")
    if backlog.overtaken() >= _OVERTAKING_PER_SLOT * machine.slots:
        return _first_before_all(backlog, free)
    starts = _pass(backlog, free, USUAL)
    orders = ORDERS[: _PLAYED_JOBS // (len(_TRUST) * max(1, backlog.gpu_jobs))]
    if len(orders) < 2 or not any(start.gpus for start in starts):
        return _decision(backlog, starts, USUAL.name)
    first_starts = {order: _pass(backlog, Free(machine, running), order) for order in orders}
    if all(other == starts for other in first_starts.values()):
        return _decision(backlog, starts, USUAL.name)
    best = _best_order(orders, backlog, running, machine, now_s)
    return _decision(backlog, first_starts[best], best.name)


def _pass(backlog: Backlog, free: Free, order: Order) -> list[Start]:
    groups = (group for _, _, group in backlog.sorted_by(order.key))
    return start_all(groups, backlog.smallest_mib(), free)


def _best_order(
    orders: Sequence[Order],
    backlog: Backlog,
    running: Sequence[Running],
    machine: Machine,
    now_s: float,
) -> Order:
    """The order whose last job that needs a GPU ends first, in the mean over `_TRUST`.

    Of equals, the earlier in `orders`.
    """
    versions = [_lengths(backlog, trust) for trust in _TRUST]
    best, best_s = orders[0], float("inf")
    for order in orders:
        total_s = 0.0
        for lengths_s in versions:
            give_up_s = now_s + best_s - total_s
            end_s = play(
                backlog, running, machine, now_s, order, lengths_s=lengths_s, give_up_s=give_up_s
            )
            total_s += end_s - now_s
            if total_s >= best_s:
                break
        if total_s < best_s:
            best, best_s = order, total_s
    return best


def _lengths(backlog: Backlog, trust: float) -> Lengths:
    """The estimates, drawn towards their geometric mean the less they are trusted."""
    logs = [log(max(length_s(group.head), _LEAST_S)) for group in backlog.groups if group.head.gpus]
    usual_s = exp(sum(logs) / len(logs))

    def lengths_s(job: Job) -> float:
        return float(max(length_s(job), _LEAST_S) ** trust * usual_s ** (1 - trust))

    return lengths_s


def _first_before_all(backlog: Backlog, free: Free) -> Decision:
    """Start the first in line or keep its place; then the others in what remains."""
    if not free.fits(backlog.first()):
        keep_all(backlog.first(), free)
    # It leads this order: if it fits, the pass starts it.
    return _decision(backlog, _pass(backlog, free, USUAL), "first in line before all")


def _decision(backlog: Backlog, starts: Sequence[Start], order: str) -> Decision:
    """Name the jobs: of each group the first by order, as many as start."""
    waiting = {}
    placements = []
    for start in starts:
        shape = shape_of(start.group.head)
        if shape not in waiting:
            waiting[shape] = backlog.alike(shape)
        placements.append(Placement(next(waiting[shape]), start.gpus))
    return Decision(tuple(placements), order)
