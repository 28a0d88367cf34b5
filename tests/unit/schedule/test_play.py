"""Playing the future, and predicting when a run ends."""

import pytest

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.decide import decide
from tonnage.schedule.model import Gpu, Job, Machine, Running
from tonnage.schedule.orders import USUAL
from tonnage.schedule.play import play
from tonnage.schedule.simulate import predict_end_s

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

MACHINE = Machine((Gpu("a", 1000, 850),), 4)


def gpu_job(
    name: str, vram_mib: int | None, estimate_s: float | None = 10.0, order: int = 0
) -> Job:
    return Job(name, order, gpus=1, vram_mib=vram_mib, estimate_s=estimate_s)


def test_memory_of_an_ended_job_is_back_right_after_the_first_starts():
    ended = Running(gpu_job("old", 800), ("a",), 0.0, (800,), slots_held=0)
    backlog = Backlog([gpu_job("new", 700)])
    assert play(backlog, [ended], MACHINE, 5.0, USUAL) == 15.0
    # It is not back yet, whatever the play expects.
    assert decide(backlog, [ended], MACHINE, 5.0).placements == ()


def test_jobs_that_can_never_start_make_a_play_endless_not_short():
    blocked = Machine((Gpu("a", 1000, 850, foreign_mib=900),), 4)
    backlog = Backlog([gpu_job("new", 700)])
    assert play(backlog, [], blocked, 0.0, USUAL) == float("inf")
    assert predict_end_s(backlog, [], blocked, 0.0) is None


def test_a_play_leaves_the_backlog_as_it_was():
    backlog = Backlog([gpu_job(f"{i}", 300, 10.0, i) for i in range(5)])
    play(backlog, [], MACHINE, 0.0, USUAL)
    assert [group.left for group in backlog.groups] == [5]


def test_the_end_is_unknown_only_while_no_duration_is_known():
    running = [Running(gpu_job("r", 400, None), ("a",), 0.0)]
    assert predict_end_s(Backlog([Job("p", 1)]), running, MACHINE, 1.0) is None
    assert predict_end_s(Backlog([Job("p", 1, estimate_s=7.0)]), running, MACHINE, 1.0) == 8.0


def test_jobs_without_a_gpu_count_as_work_for_the_slots():
    backlog = Backlog([Job(f"{i}", i, estimate_s=2.0) for i in range(40)])
    assert predict_end_s(backlog, [], MACHINE, 10.0) == 10.0 + 40 * 2.0 / 4


def test_a_job_past_its_estimate_is_expected_to_end_soon_not_in_the_past():
    late = [Running(gpu_job("r", 400, 100.0), ("a",), 0.0)]
    assert predict_end_s(Backlog(()), late, MACHINE, 500.0) == 510.0


def test_jobs_that_need_no_slot_all_start_and_the_decision_ends():
    backlog = Backlog([Job(f"{i}", i, cpus=0) for i in range(9)])
    assert len(decide(backlog, (), MACHINE, 0.0).placements) == 9
