"""Who is first in line starts in the end, however much would fit in its way."""

import pytest

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.bounds import unplaceable
from tonnage.schedule.decide import decide
from tonnage.schedule.model import Gpu, Job, Machine
from tonnage.schedule.simulate import simulate

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def machine(gpus: int, slots: int = 8, memory_mib: int | None = None) -> Machine:
    return Machine(tuple(Gpu(f"gpu{i}", 1000, 850) for i in range(gpus)), slots, memory_mib)


def stream(count: int, **needs) -> list[Job]:
    """Short jobs whose ends never coincide, so that some are always running."""
    return [Job(f"s{i}", i + 1, estimate_s=10.0, **needs) for i in range(count)]


@pytest.mark.parametrize(
    ("first", "needs"),
    [
        (Job("first", 0, gpus=4, vram_mib=900, estimate_s=20.0), {"gpus": 1, "vram_mib": 400}),
        (Job("first", 0, gpus=1, vram_mib=None, estimate_s=20.0), {"gpus": 1, "vram_mib": 400}),
        (Job("first", 0, gpus=1, vram_mib=9, alone=True, estimate_s=20.0), {"gpus": 1}),
        (Job("first", 0, cpus=8, estimate_s=20.0), {}),
        (Job("first", 0, memory_mib=2000, estimate_s=20.0), {"memory_mib": 300}),
    ],
    ids=["gang", "undeclared", "alone", "all slots", "host memory"],
)
@pytest.mark.parametrize("jobs", [100, 1200])
def test_the_first_in_line_is_overtaken_only_so_often(first, needs, jobs):
    on = machine(4, memory_mib=2000)
    assert unplaceable(first, on) is None
    others = stream(jobs, **needs)
    durations_s = {job.id: 7.0 + job.order % 7 for job in others}
    durations_s["first"] = 20.0

    def late_first(backlog, running, machine, now_s):
        # At the beginning everything is idle: the first in line joins after the others began.
        if now_s == 0.0:
            decision = decide(backlog, running, machine, now_s)
            backlog.add(first)
            return decision
        return decide(backlog, running, machine, now_s)

    spans = simulate(others, on, durations_s, late_first).spans
    overtook = [name for name, span in spans.items() if 0.0 < span[0] < spans["first"][0]]
    # Eight per slot while it is not kept, and what was running when it began to be.
    assert len(overtook) <= 8 * 8 + 8


def test_overtaking_is_counted_only_where_it_takes_what_the_first_waits_for():
    first = Job("first", 0, gpus=1, vram_mib=900, estimate_s=99.0)
    backlog = Backlog([first, Job("gpu", 1, gpus=1, vram_mib=100), Job("cpu", 2)])
    backlog.discard("cpu")
    assert backlog.overtaken() == 0
    backlog.discard("gpu")
    assert backlog.overtaken() == 1
    assert backlog.copy().overtaken() == 1


def test_a_place_is_not_kept_where_only_foreign_memory_is_in_the_way():
    on = Machine((Gpu("a", 1000, 850, foreign_mib=500),), 2)
    backlog = Backlog([Job("first", 0, gpus=1, vram_mib=900), *stream(40, gpus=1, vram_mib=100)])
    for job in stream(30, gpus=1, vram_mib=100):
        backlog.discard(job.id)
    assert [each.job.id for each in decide(backlog, (), on, 0.0).placements] == ["s30", "s31"]
