"""The rule of what fits on one card, and estimates."""

import pytest

from tonnage.schedule.estimate import estimate_s
from tonnage.schedule.fit import Free, reserved_mib
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
    assert Free(MACHINE, running).fits(job) is fits


def test_foreign_memory_is_taken_off_both_caps():
    machine = Machine((Gpu("a", 1000, 850, foreign_mib=100),), 4)
    assert Free(machine).fits(one(900))
    assert not Free(machine).fits(one(901))
    assert Free(machine, [holding(400)]).fits(one(350))
    assert not Free(machine, [holding(400)]).fits(one(351))


def test_an_undeclared_job_takes_what_others_leave_and_needs_some():
    gpu = Gpu("a", 1000, 850, foreign_mib=100)
    free = Free(Machine((gpu,), 4))
    assert free.place(one(None), ("a",)) == (900,) == (reserved_mib(one(None), gpu),)
    full = Gpu("a", 1000, 850, foreign_mib=1000)
    assert not Free(Machine((full,), 4)).fits(one(None))
    assert reserved_mib(one(None), Gpu("a", 1000, 850, foreign_mib=1200)) == 0


def test_an_ended_job_keeps_its_memory_but_not_its_slot_or_resources():
    old = Job("old", 0, gpus=1, vram_mib=800, cpus=4, memory_mib=90, exclusive=frozenset({"port"}))
    new = Job("cpu", 1, cpus=4, memory_mib=90, exclusive=frozenset({"port"}))
    machine = Machine(MACHINE.gpus, 4, memory_mib=100)
    free = Free(machine, [Running(old, ("a",), 0.0, (800,), slots_held=0)])
    assert not free.fits(one(51))
    free.place(new, ())
    # Its memory comes back: nothing else does, for nothing else was taken.
    free.release(old, ("a",), (800,), slots_held=0)
    assert (free.slots, free.memory_mib) == (0, 10)
    assert not free.allows(Job("late", 2, cpus=0, exclusive=frozenset({"port"})))
    free.release(new, (), ())
    assert free.fits(one(1000))


def test_placing_and_releasing_leaves_everything_as_it_was():
    free = Free(MACHINE)
    job = one(None)
    held = free.place(job, ("a",))
    assert not free.fits(one(1))
    free.release(job, ("a",), held)
    assert free.fits(one(1000))
    assert free.slots == 4


def test_an_outlier_does_not_move_an_estimate_and_the_unknown_is_no_number():
    assert estimate_s([10.0, 11.0, 9.0, 300.0], 60.0) == pytest.approx(10.0)
    assert estimate_s([], 60.0) == 20.0
    assert estimate_s([], None) is None
