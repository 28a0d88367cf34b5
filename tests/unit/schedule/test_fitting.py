"""The rule of what fits on one card, and estimates."""

import pytest

from tonnage.schedule.estimate import estimate_s
from tonnage.schedule.fit import Free
from tonnage.schedule.model import Gpu, Job, Machine, Running

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

MACHINE = Machine((Gpu("a", 1000, 850),), 4)


def one(vram_mib, **rest):
    return Job("new", 9, gpus=1, vram_mib=vram_mib, **rest)


def holding(held_mib, **rest):
    job = Job("old", 0, gpus=1, vram_mib=400, **rest)
    return Running(job, ("a",), 0.0, (held_mib,))


@pytest.mark.parametrize(
    ("running", "job", "fits"),
    [
        ([], one(1000), True),
        ([], one(1001), False),
        ([], one(None), True),
        ([holding(400)], one(450), True),
        ([holding(400)], one(451), False),
        ([holding(500)], one(400), False),  # measured above its reservation
        ([holding(400)], one(None), False),
        ([holding(400)], one(10, alone=True), False),
        ([holding(400, alone=True)], one(10), False),
        ([holding(900)], one(1), False),  # beyond the shared cap: no company
        ([], one(10, allowed_gpus=frozenset({"b"})), False),
    ],
)
def test_what_fits_beside_what_runs(running, job, fits):
    assert (Free(MACHINE, running).choose(job) is not None) is fits


def test_foreign_memory_is_taken_off_both_caps():
    machine = Machine((Gpu("a", 1000, 850, foreign_mib=100),), 4)
    assert Free(machine).choose(one(900)) == ("a",)
    assert Free(machine).choose(one(901)) is None
    assert Free(machine, [holding(400)]).choose(one(350)) == ("a",)
    assert Free(machine, [holding(400)]).choose(one(351)) is None


def test_an_ended_job_keeps_its_memory_but_not_its_slot_or_resources():
    old = Job("old", 0, gpus=1, vram_mib=800, cpus=4, exclusive=frozenset({"port"}))
    free = Free(MACHINE, [Running(old, ("a",), 0.0, (800,), slots_held=0)])
    assert free.choose(one(51)) is None
    assert free.choose(Job("cpu", 1, cpus=4, exclusive=frozenset({"port"}))) == ()


def test_placing_and_releasing_leaves_everything_as_it_was():
    free = Free(MACHINE)
    job = one(None)
    held = free.place(job, ("a",))
    assert free.choose(one(1)) is None
    free.release(job, ("a",), held)
    assert free.choose(one(1000)) == ("a",)
    assert free.slots == 4


def test_an_outlier_does_not_move_an_estimate_and_the_unknown_is_no_number():
    assert estimate_s([10.0, 11.0, 9.0, 300.0], 60.0) == pytest.approx(10.0)
    assert estimate_s([], 60.0) == 20.0
    assert estimate_s([], None) is None
