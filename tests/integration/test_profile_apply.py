"""`tonnage profile --apply` writes the markers it advises, once."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonnage.cli.main import app

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
