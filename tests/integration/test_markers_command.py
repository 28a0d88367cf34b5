"""`tonnage markers` as its users run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonnage.cli.main import app
from tonnage.errors import OptionError, TonnageError

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(120),
]

TONNAGE = str(Path(sys.executable).parent / "tonnage")

SUITE = """
import pytest
raise SystemExit("this file is read, not run")

@pytest.mark.pre_merge
@pytest.mark.unit
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(3)
def test_declared(): ...

def test_bare(): ...
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    Path("tests").mkdir()
    Path("tests/test_suite.py").write_text(SUITE)
    Path("test_outside_testpaths.py").write_text("def test_outside(): ...\n")
    return tmp_path


def markers(*args: str):
    return CliRunner().invoke(app, ["markers", *args])


def figures(*args: str) -> dict:
    done = markers(*args, "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_installed_command_reads_and_runs_nothing(suite):
    done = subprocess.run(
        [TONNAGE, "markers"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "2 tests in 1 file, 1 not fully declared" in done.stdout
    assert "above 2 to 4 GiB" in done.stdout


def test_paths_win_over_testpaths(suite):
    assert figures()["tests"] == 2
    assert figures("tests", "test_outside_testpaths.py")["tests"] == 3


def test_a_second_look_from_the_cache_is_the_same(suite):
    first = figures()
    assert (suite / ".tonnage" / "cache" / "lint").is_dir()
    assert figures() == first
    with Path("tests/test_suite.py").open("a") as file:
        file.write("def test_more(): ...\n")
    assert figures()["tests"] == first["tests"] + 1


def test_many_files_are_read_by_several_processes(suite):
    """More source than is worth one process: the shares come back whole."""
    filling = "# " + "x" * 60_000 + "\n"
    for number in range(10):
        Path(f"tests/test_{number}.py").write_text(f"{filling}def test_{number}(): ...\n")
    found = figures()
    assert found["tests"] == 12
    assert len({test["node_id"] for test in found["incomplete"]}) == 11


def test_what_cannot_be_read_is_noted_and_the_rest_counted(suite):
    Path("tests/test_broken.py").write_text("def test_(:\n")
    Path("tests/test_made.py").write_text('globals()["test_made"] = print\n')
    found = figures()
    assert found["tests"] == 2
    broken, made = sorted(found["notes"])
    assert broken.startswith("tests/test_broken.py:1: ")
    assert made.startswith("tests/test_made.py: there may be further tests")


def test_html_is_written_whole_or_not_at_all(suite):
    done = markers("--format", "html", "--output", "markers.html")
    assert (done.exit_code, done.output) == (0, "")
    page = Path("markers.html").read_text()
    assert page.startswith("<!doctype html>")
    assert f"Markers of {suite.name}" in page
    assert not list(suite.glob("*.part")) + list(suite.glob(".*.part"))


@pytest.mark.parametrize(
    ("args", "where"),
    [
        (["there_is_none"], "PATHS"),
        (["--output", "no/such/directory.txt"], "--output"),
        (["--output", "tests"], "--output"),
    ],
)
def test_a_mistake_is_one_message(suite, args, where):
    done = markers(*args)
    assert isinstance(done.exception, OptionError)
    assert done.exception.where == where


def test_a_broken_configuration_is_one_message(suite):
    Path("pyproject.toml").write_text("[tool.tonnage]\npreset = 3\n")
    done = markers()
    assert isinstance(done.exception, TonnageError)
    assert "preset" in str(done.exception)


def test_an_unknown_format_is_refused(suite):
    assert markers("--format", "xml").exit_code == 2


def test_no_tests_is_no_failure(suite):
    Path("empty").mkdir()
    assert markers("empty").stdout == "no tests found\n"
