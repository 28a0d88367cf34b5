"""The packing as an exact model for OR-Tools CP-SAT, which knows every duration beforehand."""

import itertools

from workloads import Workload

from tonnage.schedule.model import Job, Machine, Schedule


def best_makespan_s(
    workload: Workload, machine: Machine, known: Schedule, limit_s: float
) -> tuple[float, float]:
    """The best makespan found in `limit_s`, and the bound proved. One card; whole seconds.

    A job beyond the shared cap counts as filling it: it may run alone and in no company. `known`
    is a schedule the search starts from.
    """
    from ortools.sat.python import cp_model

    (gpu,) = machine.gpus
    model = cp_model.CpModel()
    horizon = int(known.makespan_s)
    end = model.new_int_var(0, horizon, "makespan")
    starts, intervals, memory = {}, [], []
    alike: dict[tuple[int, int | None, int], list[Job]] = {}
    for job in workload.jobs:
        seconds = int(workload.durations_s[job.id])
        starts[job.id] = start = model.new_int_var(0, horizon - seconds, job.id)
        intervals.append(model.new_fixed_size_interval_var(start, seconds, job.id))
        need = gpu.shared_cap_mib if job.vram_mib is None else job.vram_mib
        memory.append(min(need, gpu.shared_cap_mib) if job.gpus else 0)
        model.add(end >= start + seconds)
        alike.setdefault((seconds, job.vram_mib, job.cpus), []).append(job)
    model.add_cumulative(intervals, [job.cpus for job in workload.jobs], machine.slots)
    model.add_cumulative(intervals, memory, gpu.shared_cap_mib)
    for jobs in alike.values():
        # Interchangeable jobs in one order only: no schedule is lost, many equal ones are.
        jobs.sort(key=lambda job: (known.spans[job.id][0], job.order))
        for before, after in itertools.pairwise(jobs):
            model.add(starts[before.id] <= starts[after.id])
    for job_id, start in starts.items():
        model.add_hint(start, int(known.spans[job_id][0]))
    model.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit_s
    solver.parameters.random_seed = 0
    solver.parameters.num_workers = 4
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return known.makespan_s, 0.0
    return solver.objective_value, solver.best_objective_bound
