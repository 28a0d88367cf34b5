"""`tonnage profile --apply` writes the markers it advises, once."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonnage.cli.main import app
from tonnage.errors import OptionError

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

SUITE = """\
import time

import pytest

from tonnage.testkit import simgpu


@pytest.mark.pre_merge  # every change
@pytest.mark.unit
@pytest.mark.gpu_1
@pytest.mark.parametrize("gib", [
    pytest.param(1, id="small"),
    pytest.param(4, id="large"),
])
def test_cases(gib):
    with simgpu.allocate(gib):
        time.sleep(0.3)
"""
WRITTEN = ("max_vram_gib(2)", "max_vram_gib(5)", "timeout(10)")


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TONNAGE_RUN", "TONNAGE_TEST", "CUDA_VISIBLE_DEVICES", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    Path("pyproject.toml").write_text("[tool.tonnage]\n")
    file = tmp_path / "test_suite.py"
    file.write_text(SUITE)
    return file


def profile(*args):
    quick = ["--no-find-min-vram", "--baseline-seconds", "0", "--interval", "0.02"]
    done = CliRunner().invoke(app, ["profile", "--gpus", "sim:2x24", *quick, *args])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_markers_are_shown_then_written_then_there(suite):
    shown = profile("--diff", "test_suite.py")
    assert suite.read_text() == SUITE
    added = [line for line in shown.splitlines() if line.startswith("+")]
    assert all(any(marker in line for line in added) for marker in WRITTEN)

    assert "written: test_suite.py" in profile("--apply", "test_suite.py")
    text = suite.read_text()
    small, large = text.partition('id="small"')[2].split('id="large"')
    assert "max_vram_gib(2)" in small
    assert "max_vram_gib(5)" in large
    assert text.count("timeout(10)") == 1  # the cases agree, so it stands on the function
    assert "# every change" in text

    assert "The markers are all there already." in profile("--apply", "test_suite.py")
    assert suite.read_text() == text


def test_what_is_not_placed_is_said_with_the_line_where_it_now_stands(suite):
    stacked = """

@pytest.mark.gpu_1
@pytest.mark.parametrize("gib", [1, 4])
@pytest.mark.parametrize("more", [1, 4])
def test_sum(gib, more):
    with simgpu.allocate(gib + more):
        time.sleep(0.3)
"""
    suite.write_text(SUITE + stacked)
    said = profile("--apply", "test_suite.py", "-k", "small or 1-1")
    assert "@pytest.mark.max_vram_gib(3)" in said
    line = said.partition("WARNING: test_suite.py:")[2].partition(":")[0]
    # The place of a function is its first decorator.
    written = suite.read_text().splitlines()
    definition = next(text for text in written[int(line) - 1 :] if "def " in text)
    assert definition == "def test_sum(gib, more):"
    assert written[int(line) - 2] == ""


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(suite, monkeypatch):
    def open_for_reading(self, mode="r", **kwargs):
        if mode == "ab" and self.name == "test_suite.py":
            raise PermissionError(13, "Permission denied")
        return open(self, mode, **kwargs)

    monkeypatch.setattr(Path, "open", open_for_reading)
    done = CliRunner().invoke(app, ["profile", "--gpus", "sim:1x24", "--apply", "test_suite.py"])
    assert isinstance(done.exception, OptionError)
    assert "cannot write" in str(done.exception)
    assert done.output == ""
