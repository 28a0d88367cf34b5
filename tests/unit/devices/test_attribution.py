"""Whose memory a reading shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.devices.attribution import Relation, attribute
from tonnage.devices.backend import DeviceReading, ProcessUse

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

# Two attempts, each a session leader under one zygote (10), and a stranger (900).
LEADERS = {100: "a", 200: "b"}
RELATIONS = {
    1: Relation(0, 0),
    10: Relation(1, 10),
    100: Relation(10, 100),
    101: Relation(100, 100),  # child of a
    102: Relation(101, 102),  # its child, in a session of its own
    103: Relation(1, 100),  # orphan of a
    200: Relation(10, 200),
    900: Relation(1, 900),
}


def reading(used, processes, source="nvml"):
    """A reading of one GPU, `g`, with `processes` as pid -> MiB."""
    listed = processes
    if processes is not None:
        listed = tuple(ProcessUse(pid, mib) for pid, mib in processes.items())
    return DeviceReading(0.0, {"g": used}, {"g": listed}, source)


def test_a_process_belongs_to_the_attempt_that_started_it_however_indirectly():
    result = attribute(reading(1500, {100: 100, 101: 200, 102: 300, 103: 400}), LEADERS, RELATIONS)
    assert result.by_attempt == {"a": {"g": 1000}}
    assert result.foreign_mib == {"g": 500}
    assert result.method == "process tree"


def test_attempts_on_one_card_are_told_apart():
    result = attribute(reading(60, {101: 10, 200: 20, 900: 30}), LEADERS, RELATIONS)
    assert result.by_attempt == {"a": {"g": 10}, "b": {"g": 20}}
    assert result.foreign_mib == {"g": 30}


def test_memory_on_no_list_is_foreign():
    result = attribute(reading(700, {100: 100, 900: 50}), LEADERS, RELATIONS)
    assert result.foreign_mib == {"g": 600}


def test_a_card_that_lists_less_than_its_processes_is_not_negative():
    assert attribute(reading(10, {100: 100}), LEADERS, RELATIONS).foreign_mib == {"g": 0}


def test_without_a_total_the_listed_strangers_are_foreign():
    result = attribute(reading(None, {100: 100, 900: 50}), LEADERS, RELATIONS)
    assert result.by_attempt == {"a": {"g": 100}}
    assert result.foreign_mib == {"g": 50}


def test_a_silent_driver_says_nothing_about_anybody():
    result = attribute(reading(None, None), LEADERS, RELATIONS, {"a": {"g": 100}})
    assert result.by_attempt == {}
    assert result.foreign_mib == {}


@pytest.mark.parametrize("processes", [None, {}, {5000: 800}, {100: None}, {5000: 800, 100: None}])
def test_where_pids_mean_nothing_a_lone_attempt_has_what_is_above_the_baseline(processes):
    result = attribute(reading(1000, processes), LEADERS, RELATIONS, {"a": {"g": 2000}}, {"g": 300})
    assert result.by_attempt == {"a": {"g": 700}}
    assert result.foreign_mib == {"g": 300}
    assert result.method == "device delta"


def test_where_pids_mean_nothing_company_is_not_divided():
    reserved = {"a": {"g": 400}, "b": {"g": 400}, "elsewhere": {"h": 5000}}
    result = attribute(reading(1000, {5000: 900}), LEADERS, RELATIONS, reserved, {"g": 100})
    assert result.by_attempt == {}
    assert result.foreign_mib == {"g": 200}  # beyond both reservations


def test_a_card_without_attempts_is_all_foreign():
    result = attribute(reading(1000, {5000: 900}), LEADERS, RELATIONS, {"b": {"other": 10}})
    assert result.foreign_mib == {"g": 1000}


def test_simulated_memory_is_exact():
    result = attribute(reading(60, {100: 10, 900: 50}, "simulated"), LEADERS, RELATIONS)
    assert result.by_attempt == {"a": {"g": 10}}
    assert result.foreign_mib == {"g": 50}
    assert result.method == "simulated"


def test_a_simulated_process_that_ended_meanwhile_is_nobodys():
    result = attribute(reading(60, {100: 10, 5000: 50}, "simulated"), LEADERS, RELATIONS)
    assert result.foreign_mib == {"g": 0}


@pytest.mark.parametrize("source", ["nvml", "simulated"])
def test_a_leader_that_ended_meanwhile_is_still_charged(source):
    """The peak of a short test is often seen in its last reading."""
    result = attribute(reading(50, {100: 50}, source), LEADERS, {})
    assert result.by_attempt == {"a": {"g": 50}}
    assert result.foreign_mib == {"g": 0}
    assert result.method != "device delta"


def test_an_empty_simulated_card_is_known_to_be_empty():
    result = attribute(reading(0, {}, "simulated"), LEADERS, RELATIONS, {"a": {"g": 100}})
    assert result.by_attempt == {}
    assert result.foreign_mib == {"g": 0}
    assert result.method == "simulated"


def test_the_least_certain_method_speaks_for_the_reading():
    mixed = DeviceReading(0.0, {"g": 10, "h": 10}, {"g": (ProcessUse(100, 10),), "h": None}, "nvml")
    result = attribute(mixed, LEADERS, RELATIONS)
    assert result.methods == {"g": "process tree", "h": "device delta"}
    assert result.method == "device delta"


def test_parents_in_a_circle_end():
    """A snapshot of /proc is not one moment: a recycled pid can close a loop."""
    circle = {5: Relation(6, 5), 6: Relation(5, 6)}
    assert attribute(reading(10, {5: 10}), LEADERS, circle).by_attempt == {}


@given(
    st.dictionaries(st.sampled_from([100, 101, 102, 103, 200, 900, 5000]), st.integers(0, 500)),
    st.integers(0, 500),
)
def test_listed_memory_is_counted_once(processes, unlisted):
    """Where pids are known, attempts and foreigners together hold exactly what is in use."""
    used = sum(processes.values()) + unlisted
    result = attribute(reading(used, processes), LEADERS, RELATIONS)
    own = sum(gpus["g"] for gpus in result.by_attempt.values())
    assert own + result.foreign_mib["g"] == used


def test_a_reading_that_failed_tells_of_nobody():
    lost = DeviceReading(0.0, {"g": None}, {"g": None})
    found = attribute(lost, LEADERS, {}, {"a": {"g": 100}, "b": {"g": 100}})
    assert found.untold == {"g": frozenset({"a", "b"})}


def test_without_pids_what_ended_counts_as_back_once_the_others_account_for_all():
    held = {"a": {"g": 1000}, "b": {"g": 1000}}

    def untold(used_mib):
        found = attribute(
            DeviceReading(0.0, {"g": used_mib}, {"g": ()}), LEADERS, {}, held, {"g": 50}, {"a"}
        )
        return found.untold["g"]

    assert untold(2050) == {"a", "b"}
    assert untold(1050) == {"b"}
