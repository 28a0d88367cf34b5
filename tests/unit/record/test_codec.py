"""Events as lines of JSON and back."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.record import codec, events
from tonnage.record.codec import Unknown, event_of, from_data, line_of, to_data
from tonnage.record.outcomes import Outcome

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

ANY_EVENT = st.one_of([st.from_type(kind) for kind in codec.KINDS.values()])
FINISHED = events.AttemptFinished(2.5, "a::b", 1, Outcome.PASSED, 1.0, None, None, "")


def test_every_kind_of_event_is_known():
    assert len(codec.KINDS) == len(events.Event.__args__) >= 10


@given(ANY_EVENT)
def test_an_event_comes_back_as_it_was(event):
    unknown = Unknown()
    line = line_of(event)
    assert line.isascii()
    assert line.count("\n") == 1
    # By text, as a NaN is not equal to itself.
    assert repr(event_of(json.loads(line), unknown)) == repr(event)
    assert unknown == Unknown()


def test_what_a_newer_version_wrote_is_left_out_and_counted():
    unknown = Unknown()
    known = json.loads(line_of(FINISHED))
    assert event_of({**known, "mood": "good"}, unknown) == FINISHED
    assert event_of({"is": "GpuMelted", "at_s": 1.0}, unknown) is None
    assert event_of({**known, "outcome": "levitated"}, unknown) is None
    assert unknown == Unknown(events=2, fields=1)


def test_a_field_that_an_older_version_did_not_have_takes_its_default():
    data = {
        "is": "ReportRecorded",
        "at_s": 1,
        "node_id": "a",
        "attempt": 1,
        "phase": "call",
        "outcome": "failed",
        "duration_s": 0.5,
        "text": "boom",
    }
    event = event_of(data, Unknown())
    assert isinstance(event, events.ReportRecorded)
    assert (event.place, event.sections) == (None, ())


@pytest.mark.parametrize("data", [None, 1, "text", [], {}, {"is": 4}, {"at_s": 1.0}])
def test_what_can_be_no_event_is_refused(data):
    with pytest.raises(ValueError, match="not an event"):
        event_of(data, Unknown())


@dataclass(frozen=True)
class Inner:
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Outer:
    inner: Inner | None
    pair: tuple[str, int]
    names: frozenset[str]
    table: dict[str, Inner]
    outcome: Outcome


def test_nested_values_come_back_by_their_declared_types():
    value = Outer(Inner((1, 2)), ("a", 1), frozenset("ab"), {"x": Inner(())}, Outcome.LOST)
    assert from_data(Outer, json.loads(json.dumps(to_data(value))), Unknown()) == value


@pytest.mark.parametrize("numbers", [["1"], [True], "12", None, [1.5]])
def test_a_value_of_another_type_is_refused(numbers):
    with pytest.raises(ValueError, match=r"."):
        from_data(Inner, {"numbers": numbers}, Unknown())
