"""pytest-rerunfailures: reruns happen within the attempt, and are shown."""

import xml.etree.ElementTree as ET

import pytest
from tests.compat.beside import packed, plain
from tests.packed import load_only, outcomes

pytest.importorskip("pytest_rerunfailures", reason="pytest-rerunfailures is not installed")

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

SUITE = """
import pathlib
import pytest

def nth(name):
    "How often this was called with this name, over all processes."
    path = pathlib.Path(f"{name}.count")
    count = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(count))
    return count

@pytest.mark.flaky(reruns=3)
def test_flaky(): assert nth("flaky") % 3 == 0

@pytest.mark.flaky(reruns=1)
def test_hopeless(): assert False

def test_by_option(): assert nth("option") % 2 == 0

@pytest.fixture
def shaky(): assert nth("shaky") % 2 == 0

def test_setup(shaky): pass

def test_passes(): pass
"""


@pytest.mark.parametrize(("level", "xdist"), [("test", "xdist"), ("worker", "no:xdist")])
def test_tests_are_run_again_and_counted_as_in_pytest(pytester, monkeypatch, level, xdist):
    load_only(monkeypatch, xdist, "rerunfailures", "timeout")
    pytester.makepyfile(test_suite=SUITE)
    args = ["--reruns=1", "-rR", "--junitxml=out.xml"]
    expected = plain(pytester, *args)
    cases = outcomes(pytester.path / "out.xml")
    for count in pytester.path.glob("*.count"):
        count.unlink()
    result = packed(pytester, level, *args)
    assert result.parseoutcomes() == expected.parseoutcomes()
    assert expected.parseoutcomes()["rerun"] == 5
    assert outcomes(pytester.path / "out.xml") == cases
    assert result.ret == expected.ret == pytest.ExitCode.TESTS_FAILED
    # Each rerun once, though pytest-rerunfailures makes an element of every attempt.
    elements = [element.tag for element in ET.parse(pytester.path / "out.xml").iter()]
    kinds = ("flakyFailure", "flakyError", "rerunFailure", "rerunError")
    assert sum(map(elements.count, kinds)) == 5
    result.stdout.fnmatch_lines_random(
        [
            "*rerun test summary info*",
            "Tried more than once:",
            "  test_suite.py::test_flaky (passed, after 2 reruns)",
            "  test_suite.py::test_hopeless (failed, after 1 rerun): assert False",
        ]
    )


def test_the_most_reruns_of_a_suite_count_over_all_processes(pytester, monkeypatch):
    load_only(monkeypatch, "xdist", "rerunfailures")
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("n", range(4))
        def test_fails(n): assert False
        """
    )
    if "--max-suite-reruns" not in plain(pytester, "--help").stdout.str():
        pytest.skip("this pytest-rerunfailures has no --max-suite-reruns")
    result = packed(pytester, "test", "--reruns=5", "--max-suite-reruns=3")
    assert result.parseoutcomes() == {"failed": 4, "rerun": 3}
