"""pytest-cov: what was covered is the same line by line, whatever process ran it."""

import json
import xml.etree.ElementTree as ET

import pytest
from tests.compat.beside import LEVELS, packed, plain
from tests.packed import load_only

pytest.importorskip("pytest_cov", reason="pytest-cov is not installed")
coverage = pytest.importorskip("coverage")

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

PROGRAM = """
LOADED = True

def sign(number):
    if number < 0:
        return -1
    return 1

def in_a_subprocess():
    return "s"

def in_a_fork():
    return "f"

def in_a_fixture():
    return "x"

def after_the_last_test():
    return "t"

def never():
    return None
"""
SUITE = """
import multiprocessing, subprocess, sys
import program
import pytest

@pytest.fixture(scope="session")
def prepared():
    yield program.in_a_fixture()
    program.after_the_last_test()

def test_negative(prepared): assert program.sign(-1) == -1

def test_positive(): assert program.sign(1) == 1

def test_subprocess():
    code = "import program; program.in_a_subprocess()"
    subprocess.run([sys.executable, "-c", code], check=True)

def test_fork():
    process = multiprocessing.get_context("fork").Process(target=program.in_a_fork)
    process.start()
    process.join()
    assert process.exitcode == 0

def test_fails(): assert 0

@pytest.mark.skip
def test_skipped(): program.never()
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    load_only(monkeypatch, "pytest_cov", "xdist", "timeout")
    pytester.makepyfile(program=PROGRAM, test_program=SUITE)
    (pytester.path / ".coveragerc").write_text(
        "[run]\nbranch = true\npatch = subprocess\nconcurrency = thread,multiprocessing\n"
    )
    return pytester


def covered(path):
    """File -> the lines that ran, those that did not, and the branches; and the contexts if any."""
    return {
        name: (found["executed_lines"], found["missing_lines"], found.get("executed_branches"))
        for name, found in json.loads(path.read_text())["files"].items()
    }


def files_left(suite):
    return sorted(path.name for path in suite.path.glob(".coverage*"))


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_lines_and_branches_are_covered(suite, level):
    reports = ["--cov-report=json", "--cov-report=xml", "--cov-report=term-missing"]
    args = ["--cov=.", "--cov-branch", *reports]
    expected = plain(suite, *args)
    lines = covered(suite.path / "coverage.json")
    rate = ET.parse(suite.path / "coverage.xml").getroot().attrib
    result = packed(suite, level, *args)
    assert covered(suite.path / "coverage.json") == lines
    assert 14 in lines["program.py"][0], "the forked child was not measured at all"
    got = ET.parse(suite.path / "coverage.xml").getroot().attrib
    assert got["lines-covered"] == rate["lines-covered"]
    assert got["branches-covered"] == rate["branches-covered"]
    table = [line for line in expected.outlines if line.startswith(("program", "TOTAL"))]
    assert [line for line in result.outlines if line.startswith(("program", "TOTAL"))] == table
    assert result.ret == expected.ret == pytest.ExitCode.TESTS_FAILED
    assert files_left(suite) == [".coverage", ".coveragerc"]


@pytest.mark.parametrize(("least", "status"), [("20", 0), ("99", 1)])
def test_the_least_coverage_decides_the_exit_code(suite, least, status):
    args = ["--cov=program", f"--cov-fail-under={least}", "-k", "negative"]
    result = packed(suite, "test", *args)
    assert result.ret == status
    result.stdout.fnmatch_lines([f"*Required test coverage of {least}%*"])


def test_lines_are_told_by_the_test_that_ran_them(suite):
    args = ["--cov=program", "--cov-context=test", "--cov-report=", "-k", "negative or positive"]
    plain(suite, *args)
    expected = contexts(suite.path / ".coverage")
    packed(suite, "test", "-p", "no:xdist", *args)
    assert contexts(suite.path / ".coverage") == expected
    assert ["test_program.py::test_negative|run"] in expected.values()


def contexts(path):
    """Line -> the calls of tests that ran it. What sets a fixture up depends on the process."""
    data = coverage.CoverageData(str(path))
    data.read()
    (file,) = data.measured_files()
    return {
        line: sorted(context for context in found if context.endswith("|run"))
        for line, found in data.contexts_by_lineno(file).items()
    }


def test_no_cov_measures_nothing(suite):
    result = packed(suite, "test", "--cov=program", "--no-cov", "-k", "negative")
    assert result.ret == 0
    assert files_left(suite) == [".coveragerc"]
