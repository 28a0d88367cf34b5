"""`tonnage markers` in figures: which row a test counts in, and how the figures are written."""

import json
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tonnage.config import Settings, VocabularySettings
from tonnage.lint.model import UNREAD, Case, DeclaredTest, Level, Place, PlacedMark
from tonnage.lint.survey import (
    VRAM_BOUNDS_GIB,
    Survey,
    VramBin,
    survey_of,
    surveyed,
    surveyed_from_data,
)
from tonnage.lint.survey_html import survey_html
from tonnage.lint.survey_json import survey_json
from tonnage.lint.survey_text import WIDTH, survey_text
from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SERVING = PRESETS["serving"]


def mark(name: str, *args: object, **kwargs: object) -> MarkValue:
    return MarkValue(name, args, kwargs)


def placed(*marks: str | MarkValue, level: Level = Level.TEST) -> tuple[PlacedMark, ...]:
    values = [MarkValue(each) if isinstance(each, str) else each for each in marks]
    return tuple(PlacedMark(value, level) for value in values)


def declared(*marks: str | MarkValue, name: str = "test_x", cases=(), **fields) -> DeclaredTest:
    path = "tests/test_a.py"
    marked = tuple(Case(placed(*each, level=Level.CASE)) for each in cases)
    return DeclaredTest(
        f"{path}::{name}", Place(path, 7), name, marks=placed(*marks), cases=marked, **fields
    )


def survey(*tests: DeclaredTest, vocabulary=SERVING, notes=()) -> Survey:
    return survey_of([surveyed(test, vocabulary) for test in tests], vocabulary, notes)


def rows(*tests: DeclaredTest, vocabulary=SERVING) -> dict:
    return dict(survey(*tests, vocabulary=vocabulary).rows)


def test_tests_are_counted_by_all_four_categories():
    assert rows(
        declared("pre_merge", "unit", "gpu_0"),
        declared("pre_merge", "unit", "gpu_0", "timeout"),
        declared("nightly", "e2e", "integration", "gpu_2", "h100", "vllm"),
    ) == {
        (("pre_merge",), ("unit",), ("gpu_0",), ()): 2,
        (("nightly",), ("integration", "e2e"), ("gpu_2", "h100"), ("vllm",)): 1,
    }


def test_rows_follow_the_vocabulary_and_what_is_missing_comes_after():
    found = survey(
        declared("unit"),
        declared("nightly", "unit"),
        declared("unit", unknown=("a hook",)),
        declared("pre_merge", "unit"),
    )
    assert [row[0] for row, _ in found.rows] == [("pre_merge",), ("nightly",), (), None]
    assert found.by_category["type"] == ((("unit",), 4),)


def test_needs_is_a_number_of_gpus():
    def hardware(*marks):
        return [row[2] for row in rows(declared(*marks))]

    assert hardware(mark("needs", gpus=2)) == [("gpu_2",)]
    assert hardware(mark("needs", gpus=3), "h100") == [("gpu_3", "h100")]
    assert hardware(mark("needs", gpus=UNREAD)) == [None]
    assert hardware(mark("needs", cpus=2)) == [()]
    assert hardware(mark("needs", gpus=UNREAD), "gpu_1") == [("gpu_1",)]


def test_a_project_counts_by_its_own_names():
    changes = VocabularySettings(rename={"gpu_1": "one_gpu"}, lifecycles=("late", "early"))
    vocabulary = Settings(vocabulary_changes=changes).vocabulary
    found = rows(
        declared("early", "one_gpu"), declared("late", mark("needs", gpus=1)), vocabulary=vocabulary
    )
    assert list(found) == [(("late",), (), ("one_gpu",), ()), (("early",), (), ("one_gpu",), ())]


def test_without_markers_of_a_category_there_is_no_column_and_nothing_is_missing():
    found = survey(declared(mark("needs", gpus=1)), declared(), vocabulary=PRESETS["minimal"])
    assert found.columns == ("hardware",)
    assert found.rows == (((("gpu_1",),), 1), (((),), 1))
    assert found.incomplete == ()


def test_cases_that_say_what_the_test_leaves_open_stand_for_it():
    test = declared("pre_merge", "unit", cases=(["gpu_0"], ["gpu_1"], ["gpu_1", "slow"]))
    found = survey(test)
    assert [row[2] for row, _ in found.rows] == [("gpu_0",), ("gpu_1",)]
    assert found.tests == 1
    assert found.incomplete == ()


def test_cases_with_marks_of_their_own_are_counted_beside_the_test():
    whole = declared("pre_merge", "unit", "gpu_1", cases=(["skip"], ["nightly"]))
    assert [row[0] for row in rows(whole)] == [("pre_merge",), ("pre_merge", "nightly")]


def test_a_case_that_still_lacks_a_marker_is_missing_it():
    found = survey(declared("pre_merge", "unit", cases=(["gpu_0"], ["slow"])))
    assert [test.missing for test in found.incomplete] == [("hardware",)]


def test_what_is_missing_is_named_and_what_may_be_there_is_not():
    found = survey(
        declared("pre_merge", "unit", "gpu_0", name="test_whole"),
        declared("unit", name="test_bare"),
        declared("unit", name="test_may", possible=(("gpu_1", "a condition"),)),
        declared(name="test_unknown", unknown=("a hook",)),
    )
    assert {(test.node_id.partition("::")[2], test.missing) for test in found.incomplete} == {
        ("test_bare", ("lifecycle", "hardware")),
        ("test_may", ("lifecycle",)),
    }
    assert found.incomplete[0].line == 7


def test_vram_is_binned_by_what_gpu_tests_declare():
    use = survey(
        declared("gpu_0"),
        declared("gpu_1"),
        declared("gpu_1", mark("max_vram_gib", 0)),
        declared("gpu_1", mark("max_vram_gib", 1)),
        declared("gpu_1", mark("max_vram_gib", 1.01)),
        declared(mark("needs", gpus=2, vram_gib=4)),
        declared("gpu_1", mark("profiled_vram_gib", 3.5)),
        declared("gpu_1", mark("max_vram_gib", UNREAD)),
        declared("gpu_0", mark("max_vram_gib", 4)),
    ).vram
    assert use.bins == (
        VramBin(None, 0, 1),
        VramBin(0, 1024, 1),
        VramBin(1024, 2048, 1),
        VramBin(2048, 4096, 2),
    )
    assert (use.gpu_tests, use.undeclared, use.unclear) == (8, 1, 2)


def test_marks_that_have_nothing_to_do_with_gpus_do_not_hide_the_vram():
    wrong = declared("gpu_1", mark("max_vram_gib", 100), mark("timeout", "soon"))
    assert survey(wrong).vram.bins == (VramBin(80 * 1024, None, 1),)


def test_a_test_counts_once_in_a_bin_and_once_in_each_of_its_bins():
    cases = [[mark("max_vram_gib", gib)] for gib in (5, 6, 20)]
    use = survey(declared("gpu_1", mark("max_vram_gib", 5), cases=cases)).vram
    assert [(each.up_to_mib, each.tests) for each in use.bins if each.tests] == [
        (8 * 1024, 1),
        (24 * 1024, 1),
    ]
    assert use.gpu_tests == 1


NAMES = st.sampled_from(["pre_merge", "nightly", "unit", "e2e", "gpu_0", "gpu_1", "vllm", "slow"])
MARKS = st.lists(NAMES | st.builds(mark, st.just("max_vram_gib"), st.integers(0, 200)), max_size=5)
TESTS = st.lists(
    st.builds(
        lambda marks, cases, unknown: declared(*marks, cases=cases, unknown=unknown),
        MARKS,
        st.lists(MARKS, max_size=3),
        st.sampled_from([(), ("a hook",)]),
    ),
    max_size=8,
)


@given(TESTS)
def test_figures_agree_with_each_other_and_survive_json(tests):
    counted = [surveyed(test, SERVING) for test in tests]
    found = survey_of(counted, SERVING)
    through_json = [surveyed_from_data(json.loads(json.dumps(test.as_data()))) for test in counted]
    assert through_json == counted
    assert found.tests == len(tests)
    # No test is lost: each is in one row at least, and in as many of each category at most.
    assert all(test.rows for test in counted)
    for at, name in enumerate(found.columns):
        cells = Counter({cell: 0 for cell, _ in found.by_category[name]})
        for row, count in found.rows:
            cells[row[at]] += count
        assert all(
            0 < count <= cells[cell] and count <= found.tests
            for cell, count in found.by_category[name]
        )
    assert sum(each.tests for each in found.vram.bins) >= sum(
        any(mib is not None for mib in test.vram_mib) for test in counted
    )
    assert len(found.vram.bins) <= len(VRAM_BOUNDS_GIB) + 1


@given(TESTS, st.text(min_size=1, max_size=300))
def test_text_keeps_to_its_width_whatever_names_there_are(tests, name):
    long = declared("unit", name=name)
    text = survey_text(survey(*tests, long, notes=[name]))
    assert max(map(cell_len, text.splitlines())) <= WIDTH


def test_text_says_all_of_it():
    text = survey_text(
        survey(
            declared("pre_merge", "unit", "gpu_0"),
            declared("unit", "gpu_1", mark("max_vram_gib", 3)),
            declared("unit", unknown=("a hook",)),
            notes=["tests/test_bad.py:1: syntax error"],
        )
    )
    assert "3 tests in 1 file, 1 not fully declared" in text
    assert "pre_merge   unit   gpu_0      none            1" in text
    assert "lifecycle   pre_merge 1, none 1, unclear 1" in text
    assert "above 2 to 4 GiB       1" in text
    assert "note: tests/test_bad.py:1: syntax error" in text
    assert "unclear: depends on running the code" in text


def test_text_is_short_for_a_suite_that_declares_nothing():
    tests = [
        DeclaredTest(f"test_{number}.py::test_a", Place(f"test_{number}.py", 1), "test_a")
        for number in range(200)
    ]
    text = survey_text(survey(*tests, notes=[f"note {number}" for number in range(200)]))
    assert "... and 180 more files; --format json names every test" in text
    assert "... and 180 more notes; --format json has all of them" in text
    assert len(text.splitlines()) < 70


def test_text_of_an_empty_suite():
    assert survey_text(survey()) == "no tests found"


def test_json_has_names_for_everything():
    found = json.loads(
        survey_json(survey(declared("unit", unknown=("a hook",)), declared("unit", "gpu_1")))
    )
    assert found["rows"][0] == {
        "lifecycle": [],
        "type": ["unit"],
        "hardware": ["gpu_1"],
        "component": [],
        "tests": 1,
    }
    assert found["rows"][1]["hardware"] is None
    assert found["vram"]["undeclared"] == 1
    assert found["incomplete"] == [
        {
            "node_id": "tests/test_a.py::test_x",
            "file": "tests/test_a.py",
            "line": 7,
            "missing": ["lifecycle"],
        }
    ]


class Page(HTMLParser):
    """The elements of a page, its text, and whether each element that needs an end has one."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen[tag] += 1
        self.attributes.update(name for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_escapes_names_and_needs_nothing_from_outside():
    hostile = "<script>alert(1)</script>&amp;\"'"
    found = survey(declared("unit", name=f"test_{hostile}"), notes=[hostile])
    page = Page()
    page.feed(survey_html(found, hostile))
    page.close()
    assert page.open == []
    assert not page.seen.keys() & {"script", "link", "img", "iframe"}
    assert not page.attributes & {"src", "href", "onload"}
    assert "".join(page.text).count(hostile) == 4  # title, heading, test, note
    assert page.seen["tr"] > 4


def test_html_of_an_empty_suite_is_a_page():
    page = Page()
    page.feed(survey_html(survey(), "Markers"))
    assert page.open == []
    assert "no tests found" in page.text
