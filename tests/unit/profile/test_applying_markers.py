"""Where advised markers go: the function, or single cases of it."""

from pathlib import Path

import pytest

from tonnage.markers.marks import MarkValue
from tonnage.profile.apply import Advised, changes_by_file
from tonnage.profile.recommend import Recommendation, RecommendedMark
from tonnage.profile.selection import SelectedTest

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

FILE = Path("test_x.py")


def advised(gib, case=None, cases=1, declared=None, there=False):
    own = () if declared is None else (MarkValue("max_vram_gib", (declared,)),)
    name = "test_a" if case is None else f"test_a[{case}]"
    test = SelectedTest(
        f"test_x.py::TestX::{name}",
        FILE,
        3,
        ("TestX", "test_a"),
        case,
        cases,
        False,
        own,
        frozenset(mark.name for mark in own),
    )
    mark = RecommendedMark("max_vram_gib", "peak", str(gib), there, float(gib))
    return Advised(test, Recommendation((mark,), ()))


def written(*found):
    changes = changes_by_file(found).get(FILE, [])
    return [(change.case, [mark.expression for mark in change.set]) for change in changes]


def gib(number):
    return [f"pytest.mark.max_vram_gib({number})"]


def test_a_plain_test_gets_its_markers():
    [change] = changes_by_file([advised(5)])[FILE]
    assert change.target == ("TestX", "test_a")
    assert (change.case, change.set[0].comment) == (None, "peak")


def test_what_is_there_already_is_no_change():
    assert written(advised(5, there=True)) == []


def test_cases_that_differ_get_their_own():
    found = written(advised(5, "a", 2), advised(9, "b", 2))
    assert found == [("a", gib(5)), ("b", gib(9))]


def test_cases_that_agree_share_one_marker_once_all_are_known():
    assert written(advised(5, "a", 2), advised(5, "b", 2)) == [(None, gib(5))]
    assert written(advised(5, "a", 3), advised(5, "b", 3)) == [("a", gib(5)), ("b", gib(5))]


def test_a_marker_on_the_function_counts_for_all_cases_so_the_largest_is_written():
    assert written(advised(5, "a", 2, 4), advised(9, "b", 2, 4)) == [(None, gib(9))]


def test_it_is_lowered_only_when_every_case_was_profiled():
    assert written(advised(5, "a", 3, 12), advised(9, "b", 3, 12)) == []
    assert written(advised(5, "a", 2, 12), advised(9, "b", 2, 12)) == [(None, gib(9))]


def test_the_largest_case_may_be_the_one_that_stands():
    assert written(advised(5, "a", 2, 9), advised(9, "b", 2, 9, there=True)) == []
