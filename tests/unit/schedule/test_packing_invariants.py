"""Whatever the suite and the machine: within budget at all times, everything once, no starving."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.bounds import lower_bound, unplaceable
from tonnage.schedule.decide import decide
from tonnage.schedule.invariants import check_budgets
from tonnage.schedule.model import Gpu, Job, Machine, Running, Schedule
from tonnage.schedule.simulate import held_mib, simulate

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

CAPACITY_MIB = 1000


@st.composite
def machines(draw):
    gpus = tuple(
        Gpu(f"gpu{index}", CAPACITY_MIB, draw(st.sampled_from((850, 1000))), foreign)
        for index, foreign in enumerate(
            draw(st.lists(st.sampled_from((0, 0, 100)), min_size=1, max_size=4))
        )
    )
    memory_mib = draw(st.sampled_from((None, 4000)))
    return Machine(gpus, draw(st.integers(2, 6)), memory_mib)


@st.composite
def jobs_for(draw, machine):
    jobs = []
    for order in range(draw(st.integers(1, 14))):
        gpus = draw(st.integers(0, len(machine.gpus)))
        jobs.append(
            Job(
                id=f"j{order}",
                order=order,
                gpus=gpus,
                vram_mib=draw(st.sampled_from((None, 50, 300, 500, 900))) if gpus else 0,
                cpus=draw(st.integers(1, 2)),
                memory_mib=draw(st.sampled_from((0, 1500))),
                exclusive=draw(st.sampled_from((frozenset(), frozenset({"port"})))),
                estimate_s=draw(st.sampled_from((None, 1.0, 5.0, 20.0))),
                alone=bool(gpus) and draw(st.booleans()),
            )
        )
    return jobs


@st.composite
def runs(draw):
    machine = draw(machines())
    jobs = draw(jobs_for(machine))
    durations_s = {job.id: float(draw(st.integers(1, 30))) for job in jobs}
    return machine, jobs, durations_s


def checked_schedule(machine: Machine, jobs: list[Job], durations_s: dict[str, float]) -> Schedule:
    """Simulate, checking every budget after every decision."""

    def policy(backlog, running, on, now_s):
        decision = decide(backlog, running, on, now_s)
        started = [
            Running(each.job, each.gpus, now_s, held_mib(each.job, each.gpus, on))
            for each in decision.placements
        ]
        check_budgets([*running, *started], on)
        return decision

    return simulate(jobs, machine, durations_s, policy)


@settings(max_examples=30, deadline=None)
@given(runs())
def test_every_runnable_job_runs_once_within_every_budget(run):
    machine, jobs, durations_s = run
    schedule = checked_schedule(machine, jobs, durations_s)
    assert schedule.spans.keys() == {job.id for job in jobs}
    assert all(
        end_s - start_s == durations_s[job_id]
        for job_id, (start_s, end_s, _) in schedule.spans.items()
    )


@settings(max_examples=30, deadline=None)
@given(runs())
def test_no_schedule_beats_the_lower_bound(run):
    machine, jobs, durations_s = run
    schedule = simulate(jobs, machine, durations_s)
    assert schedule.makespan_s >= lower_bound(jobs, machine, durations_s).seconds - 1e-6


@settings(max_examples=20, deadline=None)
@given(runs(), st.randoms(use_true_random=False))
def test_a_decision_depends_on_the_jobs_not_on_how_they_were_filed(run, shuffler):
    machine, jobs, _ = run
    shuffled = list(jobs)
    shuffler.shuffle(shuffled)
    first = decide(Backlog(jobs), (), machine, 0.0)
    assert decide(Backlog(jobs), (), machine, 0.0) == first
    assert decide(Backlog(shuffled), (), machine, 0.0) == first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpus": 3, "vram_mib": 10}, "needs 3 GPUs, this machine has 2"),
        ({"gpus": 1, "vram_mib": 40 * 1024}, "40.0 GiB"),
        ({"cpus": 9}, "needs 9 CPU slots"),
        ({"memory_mib": 4096}, "host memory"),
        ({"gpus": 1, "allowed_gpus": frozenset()}, "kind"),
    ],
)
def test_what_can_never_fit_is_said_with_numbers(change, said):
    machine = Machine((Gpu("a", 24576, 20889), Gpu("b", 24576, 20889)), 4, 2048)
    assert said in (unplaceable(replace(Job("j", 0), **change), machine) or "")
    assert unplaceable(Job("j", 0, gpus=2, vram_mib=24576), machine) is None


def test_a_gang_does_not_starve_behind_a_stream_of_small_jobs():
    machine = Machine((Gpu("a", 1000, 850), Gpu("b", 1000, 850)), 8)
    small = [Job(f"s{i}", i, gpus=1, vram_mib=400, estimate_s=10.0) for i in range(60)]
    gang = Job("gang", 60, gpus=2, vram_mib=900, estimate_s=10.0)
    durations_s = {job.id: 7.0 + job.order % 7 for job in (*small, gang)}
    schedule = checked_schedule(machine, [*small, gang], durations_s)
    assert schedule.spans["gang"][1] <= schedule.makespan_s
    assert set(schedule.spans["gang"][2]) == {"a", "b"}
    assert schedule.makespan_s <= 1.35 * lower_bound([*small, gang], machine, durations_s).seconds


def test_a_running_job_whose_holding_was_not_measured_can_be_played_on():
    machine = Machine((Gpu("a", 1000, 850),), 4)
    running = [Running(Job("r", 0, gpus=1, vram_mib=400, estimate_s=5.0), ("a",), 0.0)]
    pending = [Job("p", 1, gpus=1, vram_mib=600, estimate_s=5.0), Job("q", 2, gpus=1, vram_mib=300)]
    started = decide(Backlog(pending), running, machine, 1.0).placements
    assert [each.job.id for each in started] == ["q"]


@st.composite
def moments(draw):
    """A machine in the middle of a run: tests above their reservation, memory not yet back."""
    machine, jobs, _ = draw(runs())
    split = draw(st.integers(0, len(jobs)))
    running = []
    for placement in decide(Backlog(jobs[:split]), (), machine, 0.0).placements:
        held = held_mib(placement.job, placement.gpus, machine)
        excess_mib = draw(st.sampled_from((0, 0, 100)))
        running.append(
            Running(
                placement.job,
                placement.gpus,
                0.0,
                tuple(mib + excess_mib for mib in held),
                draw(st.sampled_from((None, None, 0))),
            )
        )
    foreign = [draw(st.sampled_from((0, 50, 200))) for _ in machine.gpus]
    gpus = tuple(
        replace(gpu, foreign_mib=mib) for gpu, mib in zip(machine.gpus, foreign, strict=True)
    )
    return replace(machine, gpus=gpus), running, jobs[split:], draw(st.integers(0, 70))


@settings(max_examples=80, deadline=None)
@given(moments())
def test_whatever_is_measured_nothing_is_started_where_it_does_not_fit(moment):
    machine, running, pending, overtaking = moment
    backlog = Backlog(pending)
    for number in range(overtaking):
        other = Job(f"other{number}", 100 + number, gpus=1, estimate_s=0.0)
        backlog.add(other)
        backlog.discard(other.id)
    placements = decide(backlog, running, machine, 3.0).placements
    assert len({each.job.id for each in placements}) == len(placements)
    slots = sum(each.job.cpus for each in running if each.slots_held is None)
    if placements:
        assert slots + sum(each.job.cpus for each in placements) <= machine.slots
    for gpu in machine.gpus:
        old = [each for each in running if gpu.id in each.gpus]
        new = [each.job for each in placements if gpu.id in each.gpus]
        if not new:
            continue
        load_mib = gpu.foreign_mib + sum(each.held_mib[each.gpus.index(gpu.id)] for each in old)
        load_mib += sum(max(0, job.vram_mib or 0) for job in new)
        company = [each.job for each in old] + new
        assert load_mib <= (gpu.shared_cap_mib if len(company) > 1 else gpu.capacity_mib)
        assert len(company) == 1 or not any(job.alone or job.vram_mib is None for job in company)
