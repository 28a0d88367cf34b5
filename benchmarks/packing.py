"""How well the scheduler packs: simulated makespans beside bounds, an exact solver and policies.

`python benchmarks/packing.py` takes the published job, synthetic suites and one large decision.
`--workload CSV` packs another job (columns name, vram_gib, runtime_s, timeout_s; gpus, cpus).
Every row says what its side knows: estimates from declared timeouts, from earlier runs, or all.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cpsat import best_makespan_s
from policies import first_fit_by_timeout, longest_first_with_reservation
from workloads import Workload, machine, read_csv, synthetic

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.bounds import lower_bound
from tonnage.schedule.decide import decide
from tonnage.schedule.model import Job, Machine
from tonnage.schedule.simulate import simulate

PUBLISHED = Path(__file__).parent / "data" / "dynamo_l4_job.csv"
# Durations of the same test vary about so much from run to run.
HISTORY_ERROR = 0.1


def pack(workload: Workload, on: Machine, solver_s: float) -> dict[str, float]:
    """Makespans in seconds, by side and what it knows."""
    history = workload.with_history(HISTORY_ERROR, seed=0)
    sides = {
        "first fit by timeout": first_fit_by_timeout,
        "longest first, one reservation": longest_first_with_reservation,
        "tonnage": decide,
    }
    found = {
        "lower bound (knows all)": lower_bound(workload.jobs, on, workload.durations_s).seconds
    }
    for name, policy in sides.items():
        for knows, known in (("timeout / 3", workload), ("history", history)):
            schedule = simulate(known.jobs, on, known.durations_s, policy)
            found[f"{name} ({knows})"] = schedule.makespan_s
    if solver_s and len(on.gpus) == 1:
        exact = workload.with_history(0.0, seed=0)
        start = simulate(exact.jobs, on, exact.durations_s)
        best_s, _ = best_makespan_s(workload, on, start, solver_s)
        found[f"CP-SAT, {solver_s:g} s (knows all)"] = best_s
    return found


def goal(what: str, ratio: float, at_most: float) -> dict[str, object]:
    """One ratio and its goal, printed and for the file."""
    is_met = ratio <= at_most
    print(f"  {what:<62} {ratio:6.3f}   goal <= {at_most:g}   {'met' if is_met else 'NOT MET'}")
    return {"what": what, "ratio": ratio, "at_most": at_most, "is_met": is_met}


def show(title: str, makespans: dict[str, float]) -> None:
    """The makespans of one workload, smallest first."""
    print(title)
    for side, seconds in sorted(makespans.items(), key=lambda pair: pair[1]):
        print(f"  {side:<62} {seconds:8.1f} s")


def published(solver_s: float) -> list[dict[str, object]]:
    """The published job as it is, then with the margin and fillers that Tonnage makes possible."""
    job = read_csv(PUBLISHED)
    usual = pack(job, machine(1, 22, 8, 0.15), solver_s)
    show("published L4 job: 22 GiB, 8 slots, 15% margin", usual)
    lean = pack(job.with_fillers_at(1.0), machine(1, 22, 8, 0.05), 0)
    show("the same with 5% margin and fillers at 1 s", lean)
    theirs = usual["longest first, one reservation (timeout / 3)"]
    goals = []
    for knows in ("timeout / 3", "history"):
        ours = usual[f"tonnage ({knows})"]
        goals.append(goal(f"tonnage ({knows}) / longest first (timeout / 3)", ours / theirs, 0.91))
        if solver_s:
            best = usual[f"CP-SAT, {solver_s:g} s (knows all)"]
            goals.append(goal(f"tonnage ({knows}) / CP-SAT", ours / best, 1.03))
        lean_ours = lean[f"tonnage ({knows})"]
        goals.append(goal(f"lean tonnage ({knows}) / longest first as is", lean_ours / theirs, 0.8))
    return goals


def synthetics(count: int) -> list[dict[str, object]]:
    """Drawn suites, estimates off by up to half."""
    with ProcessPoolExecutor() as pool:
        ours, theirs = zip(*pool.map(over_bound, range(count)), strict=True)
    print(f"{count} synthetic suites, makespan / lower bound")
    print(
        f"  longest first, one reservation: median {statistics.median(theirs):.3f}, "
        f"worst {max(theirs):.3f}"
    )
    return [
        goal("tonnage, median", statistics.median(ours), 1.08),
        goal("tonnage, worst", max(ours), 1.35),
    ]


def over_bound(seed: int) -> tuple[float, float]:
    """Makespan over lower bound of one drawn suite: ours, and longest first's."""
    workload, on = synthetic(seed)
    bound_s = lower_bound(workload.jobs, on, workload.durations_s).seconds
    ours, theirs = (
        simulate(workload.jobs, on, workload.durations_s, policy).makespan_s / bound_s
        for policy in (decide, longest_first_with_reservation)
    )
    return ours, theirs


def large_decision(pending: int = 10_000, gpus: int = 64) -> list[dict[str, object]]:
    """Seconds of one decision while tests end one by one."""
    jobs = [
        Job(
            id=str(index),
            order=index,
            gpus=index % 4 and 1,
            vram_mib=(index % 4 and 1) * (1024 + index * 7919 % 20_000),
            estimate_s=10.0 + index * 0.03,  # no two alike
        )
        for index in range(pending)
    ]
    on = machine(gpus, 80, gpus * 4, 0.15)
    took: list[float] = []

    def timed(*state: object) -> object:
        began = time.perf_counter()
        decision = decide(*state)  # type: ignore[arg-type]
        took.append(time.perf_counter() - began)
        if len(took) > 200:
            raise StopIteration
        return decision

    began = time.perf_counter()
    Backlog(jobs)
    print(f"{pending} pending, {gpus} GPUs; filing them takes {time.perf_counter() - began:.3f} s")
    try:
        simulate(jobs, on, {job.id: job.estimate_s or 0.0 for job in jobs}, timed)  # type: ignore[arg-type]
    except StopIteration:
        pass
    print(
        f"  the first decision takes {took[0] * 1000:.1f} ms, the longest {max(took) * 1000:.1f} ms"
    )
    return [goal("median ms of one decision", statistics.median(took) * 1000, 5.0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path, metavar="CSV")
    parser.add_argument("--gpus", default="sim:1x22", help="sim:COUNTxGIB, for --workload")
    parser.add_argument("--slots", type=int, default=8, help="for --workload")
    parser.add_argument("--margin", type=float, default=0.15, help="for --workload")
    parser.add_argument("--quick", action="store_true", help="5 s of solver, 10 synthetic suites")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    solver_s = 5.0 if options.quick else 60.0
    figures: dict[str, object]
    if options.workload:
        count, _, gib = options.gpus.removeprefix("sim:").partition("x")
        on = machine(int(count), float(gib), options.slots, options.margin)
        makespans = pack(read_csv(options.workload), on, solver_s)
        show(options.workload.name, makespans)
        figures = {"makespans_s": makespans}
    else:
        goals = published(solver_s) + large_decision()
        goals += synthetics(10 if options.quick else 200)
        figures = {"goals": goals}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
