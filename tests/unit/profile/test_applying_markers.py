"""Where advised markers go: a function, single cases of it, its class or its file."""

from pathlib import Path

import pytest

from tonnage.markers.marks import MarkValue
from tonnage.profile.apply import Advised, incomplete_files, with_markers
from tonnage.profile.recommend import Recommendation, RecommendedMark
from tonnage.profile.selection import SelectedTest, Standing

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

FILE = Path("test_x.py")
TARGET = ("TestX", "test_a")
NAME = "max_vram_gib"
LINE = 7


def advised(gib, *ids, declared=None, holder=TARGET, there=False, stands_to=None, target=TARGET):
    """A test, perhaps a case, that is to get max_vram_gib(gib)."""
    marks = () if declared is None else (MarkValue(NAME, (declared,)),)
    holders = {} if declared is None else {NAME: holder}
    test = SelectedTest("::".join(target), FILE, LINE, False, marks, Standing(target, ids, holders))
    mark = RecommendedMark(NAME, "peak", str(gib), there, float(gib), stands_to or gib + 1)
    return Advised(test, Recommendation((mark,), ()))


def unmeasured(*ids, holders=None, target=TARGET):
    return Standing(target, ids, holders or {})


def placed(source, *found, others=()):
    tests = [*(each.test.standing for each in found), *others]
    return with_markers(source, found, tests, (NAME,))


def source(values="", on_function="", on_class=""):
    """A class with a test, as its decorators are given."""
    cases = f'    @pytest.mark.parametrize("x", [{values}])\n' if values else ""
    mark = f"    @pytest.mark.{on_function}\n" if on_function else ""
    above = f"@pytest.mark.{on_class}\n" if on_class else ""
    return f"import pytest\n\n{above}class TestX:\n{mark}{cases}    def test_a(self, x): ...\n"


def marks_of(result):
    """The marks of the result, each with what stands before it in its line."""
    lines = [line.strip() for line in result.source.splitlines() if NAME in line]
    return [line.partition("  #")[0].rstrip(",") for line in lines]


def test_a_plain_test_gets_its_markers():
    result = placed(source(), advised(5))
    assert "    @pytest.mark.max_vram_gib(5)  # peak\n    def test_a" in result.source


def test_a_file_whose_markers_are_all_there_is_left_out():
    assert incomplete_files([advised(5, there=True)]) == {}
    assert [*incomplete_files([advised(5, there=True), advised(6)])] == [FILE]


def test_cases_that_differ_get_their_own():
    result = placed(source("1, 2"), advised(5, "1"), advised(9, "2"))
    first, second = result.source.split("pytest.param(")[1:]
    assert "max_vram_gib(5)" in first
    assert "max_vram_gib(9)" in second


def test_cases_that_one_marker_fits_share_it_once_all_are_known():
    result = placed(source("1, 2"), advised(5, "1"), advised(6, "2"))
    assert marks_of(result) == ["@pytest.mark.max_vram_gib(6)"]
    assert "# peak, the largest of 2 tests" in result.source
    partly = placed(source("1, 2, 3"), advised(5, "1"), advised(5, "2"), others=[unmeasured("3")])
    assert len(marks_of(partly)) == 2


@pytest.mark.parametrize(
    ("found", "others", "number"),
    [
        ([advised(5, "a", declared=4), advised(9, "b", declared=4)], [], 9),
        ([advised(5, "a", declared=12), advised(9, "b", declared=12)], [], 9),
        ([advised(5, "a", declared=12)], [unmeasured("b", holders={NAME: TARGET})], 12),
        ([advised(15, "a", declared=12)], [unmeasured("b", holders={NAME: TARGET})], 15),
        ([advised(5, "a", declared=9), advised(9, "b", declared=9, there=True)], [], 9),
    ],
    ids=["raised", "lowered", "not all known", "raised for all", "one stands"],
)
def test_a_marker_on_the_function_is_the_largest_of_its_cases(found, others, number):
    declared = found[0].test.marks[0].args[0]
    text = source('"a", "b"', on_function=f"max_vram_gib({declared})")
    result = placed(text, *found, others=others)
    assert marks_of(result) == [f"@pytest.mark.max_vram_gib({number})"]
    assert result.unplaced == ()


TWO = """import pytest

@pytest.mark.max_vram_gib(4)
class TestX:
    def test_a(self): ...
    def test_b(self): ...
"""
CLASS, OTHER = ("TestX",), ("TestX", "test_b")


def in_class(first, second):
    return [
        advised(first, declared=4, holder=CLASS, there=first == 4),
        advised(second, declared=4, holder=CLASS, there=second == 4, target=OTHER),
    ]


def test_a_class_whose_marker_fits_no_test_gets_the_largest():
    assert marks_of(placed(TWO, *in_class(7, 9))) == ["@pytest.mark.max_vram_gib(9)"]
    assert marks_of(placed(TWO, *in_class(2, 3))) == ["@pytest.mark.max_vram_gib(3)"]


def test_where_it_fits_some_only_those_that_need_more_get_their_own():
    result = placed(TWO, *in_class(4, 9))
    assert marks_of(result) == ["@pytest.mark.max_vram_gib(4)", "@pytest.mark.max_vram_gib(9)"]
    assert marks_of(placed(TWO, *in_class(4, 2))) == ["@pytest.mark.max_vram_gib(4)"]


def test_a_class_is_not_changed_for_one_of_its_tests():
    first, second = in_class(2, 9)
    result = placed(TWO, first, others=[second.test.standing])
    assert marks_of(result) == ["@pytest.mark.max_vram_gib(4)", "@pytest.mark.max_vram_gib(2)"]


def test_what_is_not_written_on_the_class_is_placed_on_its_tests():
    text = TWO.replace("pytest.mark.max_vram_gib(4)", "LIMITED")
    result = placed(text, *in_class(7, 9))
    assert marks_of(result) == ["@pytest.mark.max_vram_gib(7)", "@pytest.mark.max_vram_gib(9)"]
    assert result.unplaced == ()


STACKED = """import pytest

class TestX:
    @pytest.mark.parametrize("x", ["a", "b"])
    @pytest.mark.parametrize("y", ["s", "t"])
    def test_a(self, x, y): ...
"""


def test_of_several_parametrisations_the_one_that_decides_holds_it():
    needs = {("s", "a"): 5, ("s", "b"): 9, ("t", "a"): 5, ("t", "b"): 10}
    result = placed(STACKED, *(advised(gib, *ids) for ids, gib in needs.items()))
    assert result.unplaced == ()
    first, second = result.source.split("pytest.param(")[1:]
    assert first.startswith('"a"')
    assert "max_vram_gib(5),  # peak\n" in first
    assert "max_vram_gib(10),  # peak, the largest of 2 tests" in second


@pytest.mark.parametrize(
    ("needs", "others", "reason"),
    [
        ({("s", "a"): 5, ("s", "b"): 9, ("t", "a"): 9, ("t", "b"): 15}, [], "decides this alone"),
        ({("s", "a"): 5, ("t", "a"): 5}, [unmeasured("s", "b")], "not all combinations"),
        ({("a", "a"): 5, ("a", "b"): 9, ("b", "a"): 5, ("b", "b"): 9}, [], "decides this alone"),
    ],
    ids=["both decide", "some unknown", "ids that mean two things"],
)
def test_what_no_parametrisation_can_hold_is_said(needs, others, reason):
    found = [advised(gib, *ids) for ids, gib in needs.items()]
    result = placed(STACKED, *found, others=others)
    assert result.source == STACKED
    assert len(result.unplaced) == len(found)
    assert reason in result.unplaced[0].reason
    assert result.unplaced[0].line == LINE
    assert result.unplaced[0].text == "@pytest.mark.max_vram_gib(5)  # peak"


SHARED = """import pytest

CASES = [pytest.param(1, id="s", marks=pytest.mark.max_vram_gib(4))]

class TestX:
    @pytest.mark.parametrize("x", CASES)
    def test_a(self, x): ...

    @pytest.mark.parametrize("x", CASES)
    def test_b(self, x): ...
"""
HELD = 12345


def test_a_case_that_tests_share_is_the_largest_of_theirs():
    first = advised(5, "s", declared=4, holder=HELD)
    second = advised(9, "s", declared=4, holder=HELD, target=OTHER)
    assert "max_vram_gib(9)" in placed(SHARED, first, second).source
    less = advised(2, "s", declared=4, holder=HELD)
    assert placed(SHARED, less, others=[second.test.standing]).source == SHARED


def test_a_new_mark_of_a_case_that_tests_share_is_the_largest_too():
    text = SHARED.replace(", marks=pytest.mark.max_vram_gib(4)", "")
    result = placed(
        text.replace('id="s")', 'id="s"), 2'),
        *(advised(gib, "s", target=target) for gib, target in ((9, TARGET), (5, OTHER))),
        others=[unmeasured("2"), unmeasured("2", target=OTHER)],
    )
    assert "max_vram_gib(9)" in result.source
    assert "max_vram_gib(5)" not in result.source
