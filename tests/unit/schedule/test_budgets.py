"""The check of budgets sees every promise that is too much, and no test's own excess."""

import pytest

from tonnage.schedule.invariants import InvariantError, check_budgets
from tonnage.schedule.model import Gpu, Job, Machine, Running

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

MACHINE = Machine((Gpu("a", 1000, 850, foreign_mib=50), Gpu("b", 1000, 850)), 4, 100)


def on(gpus, slots_held=None, held_mib=(), **needs):
    return Running(Job("j", 0, gpus=len(gpus), **needs), tuple(gpus), 0.0, held_mib, slots_held)


@pytest.mark.parametrize(
    "running",
    [
        [on("a", vram_mib=950)],
        [on("a", vram_mib=None)],
        [on("a", vram_mib=400), on("a", vram_mib=400)],
        [on("a", vram_mib=400, held_mib=(990,)), on("a", vram_mib=100)],  # measured, not promised
        [on("", cpus=4), on("", cpus=4, slots_held=0)],
        [on("ab", vram_mib=400), on("b", vram_mib=450)],
    ],
)
def test_what_is_within_budget_passes(running):
    check_budgets(running, MACHINE)


@pytest.mark.parametrize(
    ("running", "said"),
    [
        ([on("a", vram_mib=951)], "1001 of 1000 MiB on a"),
        ([on("a", vram_mib=400), on("a", vram_mib=401)], "851 of 850 MiB on a"),
        ([on("b", vram_mib=10, alone=True), on("b", vram_mib=10)], "no company"),
        ([on("", cpus=3), on("", cpus=2)], "5 slots of 4"),
        ([on("", memory_mib=60), on("", memory_mib=60)], "120 MiB of host memory"),
        ([on("", exclusive=frozenset({"x"})), on("", exclusive=frozenset({"x"}))], "held twice"),
        ([on("bb", vram_mib=10)], "a GPU twice"),
        ([Running(Job("j", 0, gpus=2, vram_mib=1), ("a",), 0.0)], "has 1 GPUs"),
        ([on("a", vram_mib=1, allowed_gpus=frozenset({"b"}))], "wrong card"),
    ],
)
def test_what_is_beyond_a_budget_is_named(running, said):
    with pytest.raises(InvariantError, match=said):
        check_budgets(running, MACHINE)
