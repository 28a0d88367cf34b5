import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.execute.plain_data import from_text, to_text

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_plain_values_arrive_as_they_were(data):
    assert from_text(to_text(data)) == data


def test_the_text_is_json():
    assert json.loads(to_text({"a": [1, None]})) == {"a": [1, None]}


def test_what_is_no_plain_value_arrives_as_near_to_it_as_can_be():
    sent = {"path": Path("/a"), "pair": (1, 2), "set": {3}, "error": ValueError("why")}
    assert from_text(to_text(sent)) == {"path": "/a", "pair": [1, 2], "set": [3], "error": "why"}
