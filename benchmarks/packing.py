"""Packing: our makespan beside other policies', the best CP-SAT finds, and the lower bound.

    python benchmarks/packing.py [--quick] [--json OUT]
    python benchmarks/packing.py --workload FILE.csv --gpus sim:1x22 --slots 8 --margin 0.15
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from cpsat import best_makespan_s
from policies import first_fit_by_timeout, longest_first_with_reservation
from workloads import Workload, machine_of, read_csv, synthetic

from tonnage.devices.spec import parse_gpu_spec
from tonnage.schedule.backlog import Backlog
from tonnage.schedule.bounds import lower_bound
from tonnage.schedule.decide import decide
from tonnage.schedule.invariants import check_budgets
from tonnage.schedule.model import Job, Running
from tonnage.schedule.simulate import held_mib, simulate

L4_JOB = Path(__file__).parent / "data" / "dynamo_l4_job.csv"
POLICIES = {
    "ours": decide,
    "(c) first fit by timeout": first_fit_by_timeout,
    "(d) longest first, backfill, one reservation": longest_first_with_reservation,
}


def makespans(workload: Workload) -> dict[str, float]:
    """Makespan of each policy, checked for what it promised."""
    found = {}
    for name, policy in POLICIES.items():
        schedule = simulate(workload.jobs, workload.machine, workload.durations_s, policy)
        check(workload, schedule.spans)
        found[name] = schedule.makespan_s
    return found


def check(workload: Workload, spans: dict) -> None:
    """Every job ran once, and no resource was over budget when anything started."""
    assert spans.keys() == {job.id for job in workload.jobs}
    jobs = {job.id: job for job in workload.jobs}
    for now_s in {start for start, _, _ in spans.values()}:
        running = [
            Running(jobs[name], gpus, start, held_mib(jobs[name], gpus, workload.machine))
            for name, (start, end, gpus) in spans.items()
            if start <= now_s < end
        ]
        check_budgets(running, workload.machine)


def show(title: str, workload: Workload, cpsat_s: float | None) -> dict[str, float]:
    """Print one workload's comparison; the figures."""
    found = makespans(workload)
    bound = lower_bound(workload.jobs, workload.machine, workload.durations_s)
    print(f"\n{title}")
    for name, makespan in found.items():
        print(f"  {name:<46}{makespan:9.1f} s   ours / this {found['ours'] / makespan:.3f}")
    found["(a) lower bound"] = bound.seconds
    label = f"(a) lower bound ({bound.resource})"
    print(f"  {label:<46}{bound.seconds:9.1f} s   ours / this {found['ours'] / bound.seconds:.3f}")
    if cpsat_s and len(workload.machine.gpus) == 1:
        best = simulate(workload.jobs, workload.machine, workload.durations_s)
        hint = {name: start for name, (start, _, _) in best.spans.items()}
        makespan, proven = best_makespan_s(
            workload.jobs, workload.machine, workload.durations_s, cpsat_s, hint
        )
        found["(b) CP-SAT"] = makespan
        label = f"(b) CP-SAT in {cpsat_s:g} s, knowing durations"
        print(f"  {label:<46}{makespan:9.1f} s   ours / this {found['ours'] / makespan:.3f}")
        print(f"      (proven: nothing ends before {proven:.1f} s)")
    return found


def goal(what: str, value: float, limit: float, unit: str = "") -> dict[str, object]:
    met = value <= limit
    print(f"  -> {what}: {value:.3f}{unit} (goal {limit:g}{unit}) {'met' if met else 'NOT MET'}")
    return {"what": what, "value": value, "goal": limit, "met": met}


def l4_job(cpsat_s: float) -> list[dict[str, object]]:
    """The published job, as published and with what its overheads could be."""
    rows = []
    published = machine_of((22 * 1024,), 8, 0.15)
    lean = machine_of((22 * 1024,), 8, 0.05)
    theirs = {}
    for knows in (False, True):
        title = "history of an earlier run" if knows else "declared timeouts only (estimate: a third)"
        found = show(
            f"published L4 job, 22 GiB, 8 slots, 15% margin; known: {title}",
            read_csv(L4_JOB, published, knows_history=knows),
            cpsat_s if knows else None,
        )
        theirs[knows] = found["(d) longest first, backfill, one reservation"]
        # Policy (d) as published knows only timeouts, whatever we know.
        ratio = found["ours"] / theirs[False]
        rows.append(goal(f"ours / policy (d), known to us: {title}", ratio, 0.91))
        if knows:
            rows.append(goal("ours / best of CP-SAT", found["ours"] / found["(b) CP-SAT"], 1.03))
    for knows in (False, True):
        title = "history of an earlier run" if knows else "declared timeouts only"
        found = show(
            f"same job, 5% margin and fillers of 1 s; known: {title}",
            read_csv(L4_JOB, lean, knows_history=knows, filler_s=1.0),
            None,
        )
        rows.append(
            goal(f"ours / policy (d) as published, known to us: {title}", found["ours"] / theirs[False], 0.80)
        )
    return rows


def synthetic_jobs(count: int) -> list[dict[str, object]]:
    """Makespan over lower bound for many drawn workloads."""
    ratios = []
    print(f"\n{count} synthetic workloads: 1-8 GPUs, gangs, fillers, estimates wrong by up to 50%")
    for seed in range(count):
        workload = synthetic(seed)
        schedule = simulate(workload.jobs, workload.machine, workload.durations_s)
        check(workload, schedule.spans)
        bound = lower_bound(workload.jobs, workload.machine, workload.durations_s)
        ratios.append((schedule.makespan_s / bound.seconds, seed, bound.resource))
        if seed % 20 == 19:
            print(f"  {seed + 1} done", file=sys.stderr)
    values = [ratio for ratio, _, _ in ratios]
    worst = sorted(ratios, reverse=True)[:5]
    print("  worst: " + "; ".join(f"{r:.3f} (seed {s}, bound by {what})" for r, s, what in worst))
    return [
        goal("makespan / lower bound, median", statistics.median(values), 1.08),
        goal("makespan / lower bound, worst", max(values), 1.35),
    ]


def decision_time(pending: int) -> list[dict[str, object]]:
    """One decision with many pending tests on 64 GPUs, when one test has just ended."""
    machine = machine_of((80 * 1024,) * 64, 256, 0.05)
    jobs = [
        Job(str(n), n, gpus=(n % 3 > 0) * (1 + n % 2), vram_mib=(n * 37) % 60_000 if n % 3 else 0,
            estimate_s=1.0 + (n * 7919) % 600)
        for n in range(pending)
    ]
    backlog = Backlog(jobs)
    running: list[Running] = []
    times = []
    for step in range(60):
        began = time.perf_counter()
        decision = decide(backlog, running, machine, float(step))
        times.append((time.perf_counter() - began) * 1000)
        for placement in decision.placements:
            backlog.discard(placement.job.id)
            held = held_mib(placement.job, placement.gpus, machine)
            running.append(Running(placement.job, placement.gpus, float(step), held))
        running.pop((step * 31) % len(running))
    print(f"\none decision, {pending} pending tests, 64 GPUs: first {times[0]:.1f} ms")
    return [goal("median of a decision", statistics.median(times[1:]), 5.0, " ms")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path)
    parser.add_argument("--gpus", default="sim:1x22")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--margin", type=float, default=0.15)
    parser.add_argument("--cpsat-s", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="20 workloads, 10 s of CP-SAT")
    args = parser.parse_args()
    cpsat_s = 10.0 if args.quick else args.cpsat_s
    if args.workload:
        machine = machine_of(parse_gpu_spec(args.gpus).cards_mib, args.slots, args.margin)
        workload = read_csv(args.workload, machine, knows_history=False)
        result: object = show(f"{args.workload}: {args.gpus}, {args.slots} slots", workload, cpsat_s)
    else:
        result = [
            *l4_job(cpsat_s),
            *synthetic_jobs(20 if args.quick else 200),
            *decision_time(10_000),
        ]
    if args.json:
        args.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
