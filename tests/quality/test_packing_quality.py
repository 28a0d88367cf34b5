"""Makespans stay as good as they are. Time is simulated, so every figure is exact everywhere."""

from pathlib import Path

import pytest
from benchmarks.policies import longest_first_with_reservation
from benchmarks.workloads import machine, read_csv, synthetic

from tonnage.schedule.bounds import lower_bound
from tonnage.schedule.decide import decide
from tonnage.schedule.simulate import simulate

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

L4_JOB = read_csv(Path(__file__).parents[2] / "benchmarks" / "data" / "dynamo_l4_job.csv")
L4 = machine(1, 22, 8, 0.15)
# The best schedule of the job that an exact solver found in a minute, knowing every duration.
BEST_KNOWN_S = 1103.0


def makespan_s(workload, on, policy=decide):
    return simulate(workload.jobs, on, workload.durations_s, policy).makespan_s


def test_the_published_job_against_longest_first_with_one_reservation():
    theirs_s = makespan_s(L4_JOB, L4, longest_first_with_reservation)
    assert makespan_s(L4_JOB, L4) <= 0.93 * theirs_s
    assert makespan_s(L4_JOB.with_history(0.1, seed=0), L4) <= 0.91 * theirs_s


def test_the_published_job_against_the_best_schedule_known():
    assert makespan_s(L4_JOB, L4) <= 1.045 * BEST_KNOWN_S
    assert makespan_s(L4_JOB.with_history(0.1, seed=0), L4) <= 1.03 * BEST_KNOWN_S


def test_a_smaller_margin_and_short_fillers_pay():
    theirs_s = makespan_s(L4_JOB, L4, longest_first_with_reservation)
    lean, on = L4_JOB.with_fillers_at(1.0), machine(1, 22, 8, 0.05)
    assert makespan_s(lean, on) <= 0.80 * theirs_s
    assert makespan_s(lean.with_history(0.1, seed=0), on) <= 0.78 * theirs_s


@pytest.mark.parametrize("seed", [2, 3, 22])
def test_a_drawn_suite_ends_near_the_lower_bound(seed):
    workload, on = synthetic(seed)
    bound_s = lower_bound(workload.jobs, on, workload.durations_s).seconds
    assert makespan_s(workload, on) <= 1.2 * bound_s
