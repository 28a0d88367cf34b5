"""Device readings of every kind, turned into samples of what a test holds."""

import os
from dataclasses import dataclass

import pytest

from tonnage.devices.backend import DeviceGpu, DeviceReading, ProcessUse
from tonnage.profile.recorder import Recorder

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

CARD = DeviceGpu("GPU-a", 0, "card", 24_000)
NOT_OURS = 2**22 + 1  # beyond the largest pid that Linux gives


class Cards:
    name = "nvml"

    def read_utilisation(self, uuid):
        return 40


@dataclass
class Devices:
    gpus = (CARD,)
    backend = Cards()


@pytest.fixture
def recorder():
    return Recorder(Devices(), [CARD.uuid], began_s=100.0, on_sample=None)


def read(recorder, at_s, used_mib, *processes, source="nvml"):
    listed = tuple(ProcessUse(pid, mib) for pid, mib in processes)
    recorder.on_reading(DeviceReading(at_s, {CARD.uuid: used_mib}, {CARD.uuid: listed}, source))


def held(recorder):
    return [sample.tree_mib for sample in recorder.samples()]


def test_where_the_driver_names_our_processes_their_memory_is_the_tests(recorder):
    read(recorder, 100.5, 3000)
    recorder.leader = os.getpid()
    read(recorder, 101.0, 5100)  # a neighbour grew, and our context is not there yet
    read(recorder, 101.5, 7100, (os.getpid(), 2000))
    assert held(recorder) == [0, 0, 2000]
    assert recorder.method == "process tree"
    assert recorder.samples()[-1].at_s == 1.5


def test_where_pids_mean_nothing_it_is_what_is_above_the_baseline(recorder):
    read(recorder, 100.2, 3400, (NOT_OURS, 3000))
    read(recorder, 100.4, 3000, (NOT_OURS, 3000))
    recorder.leader = os.getpid()
    read(recorder, 101.0, 7000, (NOT_OURS, 3000), (NOT_OURS + 1, 4000))
    assert held(recorder) == [0, 0, 4000]
    assert recorder.method == "device delta"
    assert recorder.baseline_mib == {CARD.uuid: 3000}


def test_others_on_the_card_do_not_blur_how_memory_was_told_apart(recorder):
    read(recorder, 100.5, 13000, (os.getppid(), 13000))
    recorder.leader = os.getpid()
    read(recorder, 101.0, 14000, (NOT_OURS, 14000))  # of another container: no growth of ours
    read(recorder, 101.5, 15000, (os.getppid(), 13000), (os.getpid(), 2000))
    assert held(recorder) == [0, 0, 2000]
    assert recorder.method == "process tree"


def test_each_gpu_is_told_apart_in_its_own_way(recorder):
    recorder = Recorder(Devices(), [CARD.uuid, "GPU-b"], began_s=100.0, on_sample=None)
    recorder.leader = os.getpid()
    lists = {CARD.uuid: (ProcessUse(os.getpid(), 2000),), "GPU-b": ()}
    recorder.on_reading(DeviceReading(101.0, {CARD.uuid: 2000, "GPU-b": 0}, lists))
    [sample] = recorder.samples()
    assert sample.own_mib == {CARD.uuid: 2000, "GPU-b": 0}
    assert recorder.method == "process tree"


def test_a_driver_that_does_not_answer_leaves_the_sample_unknown(recorder):
    read(recorder, 100.5, 0)
    recorder.leader = os.getpid()
    recorder.on_reading(DeviceReading(101.0, {CARD.uuid: None}, {CARD.uuid: None}))
    assert held(recorder) == [0, None]


def test_memory_below_the_tests_own_process_is_known_apart(recorder):
    recorder.leader = os.getppid()
    read(recorder, 101.0, 3000, (os.getppid(), 1000), (os.getpid(), 2000), source="simulated")
    assert held(recorder) == [3000]
    assert recorder.taken[-1].below_mib == 2000


def test_host_memory_and_utilisation_come_along(recorder):
    recorder.leader = os.getpid()
    read(recorder, 101.0, 0)
    [sample] = recorder.samples()
    assert sample.host_mib > 10
    assert sample.utilisation == {CARD.uuid: 40}
