"""What other runs have reserved is off the cards before a decision, and ours is told after it."""

import os

import pytest

from tonnage.devices.attribution import DEVICE_DELTA, PROCESS_TREE, Attribution
from tonnage.devices.backend import DeviceGpu
from tonnage.devices.open import Devices
from tonnage.devices.reservations import Reservations
from tonnage.devices.reserved import Reserved
from tonnage.execute import state
from tonnage.execute.jobs import RunTest
from tonnage.execute.neighbours import Neighbours
from tonnage.markers.requirement import Requirement
from tonnage.schedule.model import Gpu, Job, Machine

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.unit,
    pytest.mark.gpu_0,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="asks /proc who lives"),
]

CAPACITY_MIB = 24_000


class Driver:
    """A backend of which only the name is asked."""

    name = "nvml"


class RunHere:
    """A run with two tests of 10,000 MiB, as its controller joins state and neighbours."""

    def __init__(self, place, run_id="ours"):
        self.notices = []
        gpu = DeviceGpu("GPU-a", 0, "L4", CAPACITY_MIB)
        devices = Devices((gpu,), Driver(), None, "", {})
        self.neighbours = Neighbours(
            devices, run_id, {"TONNAGE_LOCK_DIR": str(place)}, self.notices.append
        )
        self.state = state.RunState(
            [
                RunTest(n, f"test_{n}", Job(str(n), n, 1, 10_000), Requirement(gpus=1), False)
                for n in range(2)
            ],
            Machine((Gpu("GPU-a", CAPACITY_MIB, CAPACITY_MIB),), slots=8),
            timeout_grace_s=5,
        )

    def begin(self):
        self.neighbours.open(has_gpu_tests=True)
        with self.neighbours.deciding(self.state, 0.0):
            return self.started(self.state.begin(0.0))

    def read(self, used_mib=0, foreign_mib=0, method=PROCESS_TREE):
        self.neighbours.saw(Attribution({"1": {"GPU-a": used_mib}}, {}, {"GPU-a": method}))
        with self.neighbours.deciding(self.state, 1.0):
            reading = state.MemoryRead({1: {"GPU-a": used_mib}}, {"GPU-a": foreign_mib})
            return self.started(self.state.handle(reading, 1.0))

    @staticmethod
    def started(instructions):
        return [each.unit for each in instructions if isinstance(each, state.StartUnit)]


@pytest.fixture
def place(tmp_path):
    return tmp_path / "reservations"


@pytest.fixture
def other(place):
    reservations = Reservations(place, "other")
    yield reservations
    reservations.close()


def publish(reservations, reserved_mib, used_mib=0):
    with reservations.deciding():
        reservations.publish({"GPU-a": Reserved(reserved_mib, used_mib)})


@pytest.mark.parametrize(
    ("reserved_mib", "used_mib", "foreign_mib", "started"),
    [
        (0, 0, 0, 2),
        (10_000, 0, 0, 1),  # the other may take it any moment
        (10_000, 10_000, 10_000, 1),  # it has taken it, and that is not counted twice
        (10_000, 10_000, 0, 1),  # it has just freed it, and it is still reserved
        (4_000, 0, 10_000, 1),  # others hold some, and the other run has not begun to take its own
        (4_000, 0, 11_000, 0),
        (4_000, None, 4_000, 2),  # cannot be told apart: not counted twice
        (20_000, 0, 0, 0),
    ],
)
def test_only_what_is_left_is_given_out(place, other, reserved_mib, used_mib, foreign_mib, started):
    publish(other, reserved_mib, used_mib)
    run = RunHere(place)
    run.state.handle(state.MemoryRead({}, {"GPU-a": foreign_mib}), 0.0)
    assert len(run.begin()) == started
    run.neighbours.close()


def test_what_was_just_decided_is_there_for_the_next_decider(place, other):
    run = RunHere(place)
    run.begin()
    with other.deciding() as seen:
        assert seen[0].cards == {"GPU-a": Reserved(20_000, 0)}
    run.read(used_mib=7_000)
    with other.deciding() as seen:
        assert seen[0].cards == {"GPU-a": Reserved(20_000, 7_000)}
    run.read(method=DEVICE_DELTA)
    with other.deciding() as seen:
        assert seen[0].cards == {"GPU-a": Reserved(20_000, None)}
    run.neighbours.close()
    with other.deciding() as seen:
        assert seen == ()


def test_room_that_comes_free_is_used(place, other):
    publish(other, 20_000)
    run = RunHere(place)
    assert run.begin() == []
    publish(other, 0)
    assert len(run.read()) == 2
    assert len([text for text in run.notices if "another run shares the GPUs" in text]) == 1
    run.neighbours.close()


def test_nothing_is_started_while_another_keeps_the_turn(place, other):
    run = RunHere(place)
    with other.deciding():
        assert run.begin() == []
        assert run.read() == []
    assert len([text for text in run.notices if "locked" in text]) == 1
    assert len(run.read()) == 2
    run.neighbours.close()


def test_where_nobody_can_be_met_the_run_goes_alone_and_says_so(tmp_path):
    (tmp_path / "file").touch()
    run = RunHere(tmp_path / "file")
    assert len(run.begin()) == 2
    (notice,) = run.notices
    assert notice.startswith("other runs on these GPUs are not seen, nor see this one: ")


def test_a_place_that_vanishes_is_no_disaster(place):
    run = RunHere(place)
    run.begin()
    for path in place.iterdir():
        path.unlink()
    place.rmdir()
    run.read()
    run.read()
    assert len([text for text in run.notices if "not seen" in text]) == 1
    run.neighbours.close()


def test_a_run_without_gpu_tests_leaves_no_trace(place):
    run = RunHere(place)
    run.neighbours.open(has_gpu_tests=False)
    with run.neighbours.deciding(run.state, 0.0):
        pass
    assert not place.exists()
