"""`--marker-policy`: plain, packed and under xdist, what is wrong is told once."""

import pytest
from tests.packed import run

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(120),
]

SUITE = """
import pytest

pytestmark = pytest.mark.unit

@pytest.mark.pre_merge
@pytest.mark.gpu_0
def test_right(): pass

@pytest.mark.gpu_0
@pytest.mark.parametrize("size", [1, 2])
def test_without_lifecycle(size): pass

class TestMisspelt:
    @pytest.mark.pre_marge
    def test_it(self): pass
"""

# Marks that only a real collection knows.
CONFTEST = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if "misspelt" in item.nodeid.lower():
            item.add_marker(pytest.mark.nightly)
            item.add_marker(pytest.mark.gpu_0)
"""

WAYS = pytest.mark.parametrize(
    ("args", "pack"), [((), False), ((), True), (("-n", "2"), False)], ids=["plain", "pack", "n"]
)


@pytest.fixture
def suite(pytester):
    pytester.makepyfile(test_it=SUITE)
    pytester.makeconftest(CONFTEST)
    pytester.makepyprojecttoml("[tool.tonnage]\n")
    return pytester


@WAYS
def test_warn_shows_each_finding_once_and_runs_everything(suite, args, pack):
    result = run(suite, "--marker-policy=warn", *args, pack=pack)
    assert result.ret == 0
    result.assert_outcomes(passed=4, warnings=2 if args else 1)  # pytest's own, of pre_marge
    lines = result.outlines
    start = next(at for at, line in enumerate(lines) if " marker policy " in line)
    assert lines[start + 1 : start + 6] == [
        "2 errors; `tonnage rule CODE` explains one",
        "TNG101 no lifecycle marker: 1 test",
        "  test_it.py::test_without_lifecycle",
        'TNG108 unknown marker "pre_marge"; did you mean "pre_merge"?: 1 test',
        "  test_it.py::TestMisspelt::test_it",
    ]
    assert str(result.stdout).count("no lifecycle marker") == 1


@WAYS
def test_strict_is_an_error_of_the_collection_and_runs_nothing(suite, args, pack):
    result = run(suite, "--marker-policy=strict", *args, pack=pack)
    assert result.ret == (1 if args else 2)
    result.assert_outcomes(errors=1, warnings=2 if args else 1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR collecting test_it.py*",
            "test_it.py::test_without_lifecycle: TNG101 no lifecycle marker. Add one of *",
            'test_it.py::TestMisspelt::test_it: TNG108 unknown marker "pre_marge"; *',
        ]
    )
    assert str(result.stdout).count("TNG101") == 1 + str(result.stdout).count("ERROR test_it.py - ")


def test_strict_lets_a_suite_pass_that_keeps_the_contract(suite):
    result = run(suite, "--marker-policy=strict", "-k", "right", pack=False)
    result.assert_outcomes(passed=1, deselected=2 + 1, warnings=1)


def test_the_project_chooses_the_rules(suite):
    suite.makepyprojecttoml(
        '[tool.tonnage.lint]\nignore = ["TNG108"]\nseverity = {TNG101="info"}\n'
    )
    run(suite, "--marker-policy=strict", pack=False).assert_outcomes(passed=4, warnings=1)


@pytest.mark.parametrize("args", [(), ("--marker-policy=off",)])
def test_without_it_nothing_is_checked(suite, args):
    result = run(suite, *args, pack=False)
    result.assert_outcomes(passed=4, warnings=1)
    result.stdout.no_fnmatch_line("*TNG*")


def test_a_value_that_is_none_of_them_is_refused(suite):
    result = run(suite, "--marker-policy=strct", pack=False)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ['ERROR: --marker-policy: "strct" is not one of off, warn, strict', '*"strict"?']
    )


def test_a_wrong_rule_code_is_told_before_the_collection(suite):
    suite.makepyprojecttoml('[tool.tonnage.lint]\nselect = ["TNG1", "TNG777"]\n')
    result = run(suite, "--marker-policy=warn", pack=False)
    assert result.ret == 4
    result.stderr.fnmatch_lines(['ERROR: *select: there is no rule "TNG777"*'])
