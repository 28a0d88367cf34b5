"""Which test is profiled next: every card has one test at most, and every test gets its turn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.devices.backend import DeviceGpu
from tonnage.markers.requirement import Requirement
from tonnage.profile.placing import Wanted, next_start, why_never

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def gpus(*names):
    return [DeviceGpu(f"GPU-{place}", place, name, 1024) for place, name in enumerate(names)]


@settings(max_examples=100)
@given(
    cards=st.lists(st.sampled_from(["L4", "H100"]), min_size=1, max_size=5),
    counts=st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), st.booleans()), max_size=8),
    data=st.data(),
)
def test_every_test_gets_its_turn_and_no_card_two(cards, counts, data):
    machine = gpus(*cards)
    waiting = [
        Wanted(Requirement(gpus=count, gpu_names=("h100",) if picky else ()))
        for count, picky in counts
    ]
    waiting = [wanted for wanted in waiting if why_never(wanted, machine) is None]
    running, started = [], 0
    total = len(waiting)
    while waiting or running:
        busy = {gpu.uuid for _, lent in running for gpu in lent}
        start = next_start(waiting, machine, busy)
        if start is None:
            assert running, "nothing runs and nothing can start"
            running.pop(data.draw(st.integers(0, len(running) - 1)))
            continue
        place, lent = start
        wanted = waiting.pop(place)
        assert len({gpu.uuid for gpu in lent}) == wanted.gpus
        assert not busy & {gpu.uuid for gpu in lent}
        assert all(wanted.requirement.allows_card(gpu.name) for gpu in lent)
        running.append((wanted, lent))
        started += 1
    assert started == total


def test_a_test_for_more_gpus_goes_first():
    waiting = [Wanted(Requirement(gpus=1)), Wanted(Requirement(gpus=2))]
    assert next_start(waiting, gpus("L4", "L4"), set())[0] == 1


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        (Requirement(gpus=0), "it is marked as needing no GPU, so there is no VRAM to measure"),
        (Requirement(gpus=3), "it needs 3 GPUs, here are 2"),
        (
            Requirement(gpus=2, gpu_names=("h100",)),
            "it needs 2 GPUs with h100 in their name, here is 1",
        ),
        (
            Requirement(gpus=1, gpu_names=("t4",)),
            "it needs 1 GPU with t4 in their name, here are none",
        ),
        (Requirement(), None),
    ],
)
def test_why_a_test_cannot_be_profiled_here(requirement, reason):
    assert why_never(Wanted(requirement), gpus("NVIDIA L4", "NVIDIA H100")) == reason
