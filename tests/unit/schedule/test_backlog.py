"""The pending jobs and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.schedule.backlog import Backlog
from tonnage.schedule.model import Job
from tonnage.schedule.orders import ORDERS, USUAL

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

jobs = st.builds(
    Job,
    id=st.sampled_from([f"j{number}" for number in range(6)]),
    order=st.integers(0, 9),
    gpus=st.integers(0, 1),
    vram_mib=st.sampled_from((None, 100, 200)),
    estimate_s=st.sampled_from((None, 1.0, 2.0)),
)


def content(backlog: Backlog) -> object:
    return [
        [(group.head, group.left, group.vram_mib) for _, _, group in backlog.sorted_by(order.key)]
        for order in ORDERS
    ]


@given(st.lists(st.tuples(st.booleans(), jobs), max_size=30))
def test_a_backlog_that_changed_is_as_one_built_anew(changes):
    backlog, expected = Backlog(()), {}
    for order in ORDERS:
        backlog.sorted_by(order.key)
    for is_added, job in changes:
        if is_added:
            backlog.add(job)
            expected[job.id] = job
        else:
            backlog.discard(job.id)
            expected.pop(job.id, None)
    fresh = Backlog(expected.values())
    assert sorted(backlog, key=lambda job: job.id) == sorted(expected.values(), key=lambda j: j.id)
    assert content(backlog) == content(fresh) == content(backlog.copy())
    assert backlog.gpu_jobs == sum(job.gpus > 0 for job in expected.values())
    assert backlog.smallest_mib().keys() == {group.kind for group in backlog.groups}


def test_a_job_that_comes_back_changed_leaves_no_ghost():
    backlog = Backlog([Job("a", 0, gpus=1, vram_mib=100)])
    backlog.add(Job("a", 0, gpus=1, vram_mib=None))
    assert len(backlog) == 1
    assert [group.head.vram_mib for group in backlog.groups] == [None]
    backlog.discard("a")
    assert not list(backlog.groups)
    assert "a" not in backlog


def test_a_job_that_comes_back_goes_to_its_place():
    waiting = [Job(f"{order}", order) for order in range(4)]
    backlog = Backlog(waiting)
    backlog.discard("1")
    backlog.discard("0")
    backlog.add(waiting[0])
    assert [job.id for job in backlog] == ["0", "2", "3"]
    assert backlog.sorted_by(USUAL.key)[0][2].head.id == "0"
