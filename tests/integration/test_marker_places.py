"""Where `--apply` puts markers, in files that pytest itself has collected."""

import re
from pathlib import Path

import pytest

from tonnage.markers.presets import PRESETS
from tonnage.profile.apply import Advised, incomplete_files, with_markers
from tonnage.profile.recommend import Needs, recommend
from tonnage.profile.selection import select_tests
from tonnage.units import MIB_PER_GIB

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

SERVING = PRESETS["serving"]
HEAD = (
    "import pytest\n\npytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_1]\n"
)

FILES = {
    "test_shared.py": """
@pytest.mark.max_vram_gib(1)  # a guess
class TestNoneFits:
    def test_a(self): pass  # 2
    def test_b(self): pass  # 4

class TestSomeFit:
    pytestmark = [pytest.mark.max_vram_gib(3)]
    def test_a(self): pass  # 2
    def test_b(self): pass  # 6
    def test_c(self): pass  # 0.5

LIMIT = pytest.mark.max_vram_gib(1)

class Base:
    pytestmark = [LIMIT]

class TestInherited(Base):
    def test_a(self): pass  # 2
""",
    "test_part.py": """
pytestmark += [pytest.mark.max_vram_gib(9)]

def test_measured(): pass  # 2
def test_not_measured(): pass
""",
    "test_cases.py": """
@pytest.mark.parametrize("gib", [1, 4])
@pytest.mark.parametrize("mode", ["x", "y"])
def test_one_decides(gib, mode): pass  # x-1 y-1: 1, x-4 y-4: 4

@pytest.mark.parametrize("gib", [1, pytest.param(4, marks=pytest.mark.max_vram_gib(2))])
@pytest.mark.parametrize("mode", ["x", "y"])
def test_held(gib, mode): pass  # x-1 y-1: 1, x-4 y-4: 4

@pytest.mark.parametrize("gib", ["small", "large"])
@pytest.mark.parametrize("mode", ["once", "twice"])
def test_both_decide(gib, mode): pass  # once-small: 1, once-large twice-small: 4, twice-large: 9

@pytest.mark.parametrize("gib", [1, 4])
def test_one_case(gib): pass  # 4: 4

CASES = [pytest.param(1, id="s"), pytest.param(4, id="l")]

@pytest.mark.parametrize("gib", CASES)
def test_first(gib): pass  # s: 1, l: 4

@pytest.mark.parametrize("gib", CASES)
def test_second(gib): pass  # s: 2, l: 9

@pytest.mark.parametrize("size", [1, 8])
class TestCases:
    def test_a(self, size): pass  # 1: 1, 8: 8
    def test_b(self, size): pass  # 1: 1, 8: 4
""",
}
PEAKS_GIB = {
    "test_shared.py": {
        "TestNoneFits::test_a": 2,
        "TestNoneFits::test_b": 4,
        "TestSomeFit::test_a": 2,
        "TestSomeFit::test_b": 6,
        "TestSomeFit::test_c": 0.5,
        "TestInherited::test_a": 2,
    },
    "test_part.py": {"test_measured": 2},
    "test_cases.py": {
        "test_one_decides[x-1]": 1,
        "test_one_decides[x-4]": 4,
        "test_one_decides[y-1]": 1,
        "test_one_decides[y-4]": 4,
        "test_held[x-1]": 1,
        "test_held[x-4]": 4,
        "test_held[y-1]": 1,
        "test_held[y-4]": 4,
        "test_both_decide[once-small]": 1,
        "test_both_decide[once-large]": 4,
        "test_both_decide[twice-small]": 4,
        "test_both_decide[twice-large]": 9,
        "test_one_case[4]": 4,
        "test_first[s]": 1,
        "test_first[l]": 4,
        "test_second[s]": 2,
        "test_second[l]": 9,
        "TestCases::test_a[1]": 1,
        "TestCases::test_a[8]": 8,
        "TestCases::test_b[1]": 1,
        "TestCases::test_b[8]": 4,
    },
}


def applied(directory):
    """Every file with the markers for the peaks above, and what was not placed, by file."""
    peaks = {
        f"{file}::{test}": gib for file, tests in PEAKS_GIB.items() for test, gib in tests.items()
    }
    selection = select_tests([*peaks, f"--rootdir={directory}"], {})
    advised = [
        Advised(
            test,
            recommend(Needs(1.0, round(peaks[test.node_id] * MIB_PER_GIB), 1), test.marks, SERVING),
        )
        for test in selection.tests
    ]
    results = {
        path.name: with_markers(path.read_text(), tests, selection.files[path], SERVING.known())
        for path, tests in incomplete_files(advised).items()
    }
    return (
        {name: result.source for name, result in results.items()},
        {name: result.unplaced for name, result in results.items()},
    )


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    directory = tmp_path_factory.mktemp("suite")
    (directory / "pyproject.toml").write_text("")
    for name, text in FILES.items():
        (directory / name).write_text(HEAD + text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        yield directory, *applied(directory)


def marks_before(text, place):
    """The numbers of max_vram_gib between what comes before this place and the place itself."""
    above = text[: text.index(place)].rpartition("def test_")[2].rpartition("\nclass ")[2]
    return [int(number) for number in re.findall(r"max_vram_gib\((\d+)\)", above)]


def test_a_class_is_changed_where_its_mark_fits_no_test(once):
    text = once[1]["test_shared.py"]
    assert "@pytest.mark.max_vram_gib(5)  # a guess  # peak 4.0 GiB" in text
    none_fits, some_fit = text.split("class ")[1:3]
    assert "max_vram_gib" not in none_fits
    assert "pytestmark = [pytest.mark.max_vram_gib(3)]" in some_fit
    assert marks_before(some_fit, "def test_b") == [7]
    assert marks_before(some_fit, "def test_c") == []


def test_what_is_inherited_or_belongs_to_others_too_stays(once):
    inherited = once[1]["test_shared.py"].partition("class TestInherited")[2]
    assert marks_before(inherited, "def test_a") == [3]
    assert "LIMIT = pytest.mark.max_vram_gib(1)\n" in once[1]["test_shared.py"]
    part = once[1]["test_part.py"]
    assert "pytestmark += [pytest.mark.max_vram_gib(9)]\n" in part
    assert marks_before(part, "def test_measured") == [9, 3]


def test_cases_get_their_marks_where_they_are_written(once):
    text = once[1]["test_cases.py"]
    assert marks_before(text, "def test_one_decides") == [2, 5]
    assert marks_before(text, "def test_held") == [2, 5]
    assert marks_before(text, "def test_both_decide") == []
    assert marks_before(text, "def test_one_case") == [5]
    assert "[1, pytest.param(4, marks=" in text[: text.index("def test_one_case")]
    assert marks_before(text, "def test_first") == [3, 10]  # what the second needs
    assert marks_before(text, "def test_second") == []
    assert marks_before(text, "class TestCases") == [2, 9]


def test_what_no_parametrisation_decides_alone_is_said_with_its_line(once):
    _, texts, unplaced = once
    said = unplaced["test_cases.py"]
    lines = (HEAD + FILES["test_cases.py"]).splitlines()
    assert [each.change.case for each in said] == [
        "once-small",
        "once-large",
        "twice-small",
        "twice-large",
    ]
    assert lines[said[0].line - 1] == '@pytest.mark.parametrize("gib", ["small", "large"])'
    assert "@pytest.mark.max_vram_gib(10)" in said[-1].text
    assert not any(unplaced[name] for name in texts if name != "test_cases.py")


def test_a_second_time_changes_nothing(once):
    directory, texts, _ = once
    for name, text in texts.items():
        Path(directory, name).write_text(text)
    again, _ = applied(directory)
    assert again == {name: texts[name] for name in again}
