"""Several tests at once: each on cards of its own, and what is known survives an interrupt."""

import threading
from pathlib import Path

import pytest

from tonnage.devices.backend import DeviceGpu
from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS
from tonnage.profile.model import SearchResult, Verdict
from tonnage.profile.selection import SelectedTest, Standing
from tonnage.profile.several import Began, Finished, profile_tests

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

GPUS = [DeviceGpu(f"GPU-{place}", place, "sim", 1024) for place in range(2)]


def selected(name, *marks):
    values = tuple(MarkValue(mark) for mark in marks)
    return SelectedTest(name, Path("t.py"), 1, False, values, Standing((name,), (), {}))


def profile(tests, one):
    told = []
    complete = profile_tests(tests, GPUS, PRESETS["serving"], one, told.append)
    return complete, told


def test_tests_of_one_gpu_run_side_by_side_and_a_gang_alone():
    together = threading.Barrier(2, timeout=30)
    lent = {}

    def one(test, gpus, on_event, stop):
        lent[test.node_id] = {gpu.uuid for gpu in gpus}
        if test.node_id != "both":
            together.wait()  # passes only when two are here at once
        return SearchResult(Verdict.FOUND)

    complete, told = profile([selected("a"), selected("b"), selected("both", "gpu_2")], one)
    assert complete
    assert lent["both"] == {"GPU-0", "GPU-1"}
    assert lent["a"] | lent["b"] == {"GPU-0", "GPU-1"}
    assert [type(each) for each in told[:2]] == [Began, Finished]  # the gang first, and alone
    assert {each.test.node_id for each in told if isinstance(each, Finished)} == set(lent)


def test_an_error_of_one_profile_leaves_the_others_alone():
    def one(test, gpus, on_event, stop):
        if test.node_id == "bad":
            raise ValueError("no")
        return SearchResult(Verdict.FOUND)

    _, told = profile([selected("bad"), selected("good")], one)
    errors = {each.test.node_id: each.error for each in told if isinstance(each, Finished)}
    assert errors["good"] is None
    assert str(errors["bad"]) == "no"


def test_an_interrupt_ends_what_runs_and_keeps_what_it_found():
    def one(test, gpus, on_event, stop):
        assert stop.wait(30)
        return SearchResult(Verdict.INTERRUPTED)

    told = []

    def tell(each):
        told.append(each)
        if isinstance(each, Began) and len(told) == 2:
            raise KeyboardInterrupt

    tests = [selected(name) for name in "abc"]
    assert not profile_tests(tests, GPUS, PRESETS["serving"], one, tell)
    ended = [each for each in told if isinstance(each, Finished)]
    assert {each.test.node_id for each in ended} == {"a", "b"}
    assert {each.result.verdict for each in ended} == {Verdict.INTERRUPTED}


def test_a_listener_that_fails_ends_everything():
    ended = threading.Event()

    def one(test, gpus, on_event, stop):
        assert stop.wait(30)
        ended.set()
        return SearchResult(Verdict.INTERRUPTED)

    def tell(each):
        if each.test.node_id == "b":
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        profile_tests([selected("a"), selected("b")], GPUS, PRESETS["serving"], one, tell)
    assert ended.is_set()
