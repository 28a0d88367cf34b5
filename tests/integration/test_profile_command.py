"""`tonnage profile` as its users run it, on simulated cards."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packed import PATIENCE_S, processes_of
from typer.testing import CliRunner

from tonnage.cli.main import app
from tonnage.errors import OptionError, TonnageError

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

TONNAGE = str(Path(sys.executable).parent / "tonnage")
QUICK = ["--baseline-seconds", "0", "--interval", "0.02"]

SUITE = """
import time
import pytest
from tonnage.testkit import simgpu

SEEN_S = 0.3  # long enough for a sample even on a busy machine

@pytest.mark.gpu_1
def test_four():
    with simgpu.allocate(1), simgpu.allocate(3):
        time.sleep(SEEN_S)

@pytest.mark.gpu_1
@pytest.mark.parametrize("gib", [pytest.param(2, id="two")])
def test_case(gib):
    with simgpu.allocate(gib):
        time.sleep(SEEN_S)

@pytest.mark.gpu_1
def test_broken():
    raise RuntimeError("no model there")

@pytest.mark.skip
def test_skipped(): pass

@pytest.mark.gpu_0
def test_without_gpu(): pass
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("[tool.tonnage]\n")
    Path("test_suite.py").write_text(SUITE)
    return tmp_path


def environment():
    """Ours, without what the run around this test has set for its own tests."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TONNAGE_", "PYTEST_XDIST_", "DYN_", "CUDA_VISIBLE"))
    }


def profile(*args, gpus="sim:1x24", command=(TONNAGE, "profile")):
    return subprocess.run(
        [*command, "--gpus", gpus, *QUICK, *args],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_the_least_memory_is_found_and_written_in_every_form(suite):
    done = profile("--json", "--csv", "s.csv", "--plot", "p.html", "test_suite.py::test_four")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    result = found["result"]
    assert result["verdict"] == "found"
    assert result["peak_mib"] == 4096
    least, failing = (result[name]["value"] * 24 for name in ("lowest_passing", "highest_failing"))
    assert failing < 4 <= least
    assert least - failing <= 0.05 * 24 + 1e-6
    assert len(result["probes"]) < 6  # what bisection takes
    markers = [mark["marker"] for mark in found["recommendation"]["markers"]]
    assert markers == ["pre_merge", "unit", "gpu_1", "max_vram_gib(5)", "timeout(10)"]

    assert found["measured_using"].startswith("tonnage profile --gpus sim:1x24")
    assert found["recommendation"]["runs_out_of_memory_on"] == ["edge/embedded (4 GiB)"]
    assert "T4 (16 GiB)" in found["recommendation"]["fits_on"]

    assert "# Measured using: tonnage profile --gpus sim:1x24" in done.stderr
    assert "@pytest.mark.max_vram_gib(5)  # peak 4.0 GiB (+10% safety: 4.4 GiB)" in done.stderr
    assert "runs out of memory  : edge/embedded (4 GiB)" in done.stderr

    rows = list(csv.DictReader(Path("s.csv").read_text().splitlines()))
    assert max(int(row["test_mib"] or 0) for row in rows) == 4096
    assert {row["probe"] for row in rows} == {str(n + 1) for n in range(len(result["probes"]))}
    page = Path("p.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<svg" in page


def test_the_flags_of_the_guidelines_script(suite):
    done = profile(
        *("--no-find-min-vram", "--interval", "0.05", "--teardown-seconds", "0.1"),
        *("--csv", "s.csv", "--no-recommend", "test_suite.py::test_case[two]", "-xvs"),
        command=(sys.executable, "-m", "tonnage.profile_pytest"),
    )
    assert done.returncode == 0, done.stderr
    assert "peak observed       : 2.0 GiB" in done.stdout
    assert "pytest.mark" not in done.stdout
    assert Path("s.csv").exists()


def test_a_test_that_fails_on_its_own_ends_the_search(suite):
    done = profile("test_suite.py::test_broken")
    assert done.returncode == 1
    assert "the test fails on its own" in done.stdout
    assert "no model there" in done.stdout
    assert "[probe 2/" not in done.stdout
    assert "MARKERS" not in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["test_suite.py::test_nope"], "not found"),
        (["--gpus", "none", "test_suite.py::test_four"], "there is no GPU to measure on"),
        (["test_suite.py::test_skipped"], "1 test is skipped by a mark"),
        (["-k", "nothing", "test_suite.py"], "5 tests are deselected by an option"),
        (["test_suite.py::test_without_gpu"], "marked as needing no GPU"),
        (["--csv", "s.csv", "-m", "gpu_1", "test_suite.py"], "3 tests are selected"),
        (["--range", "90%-10%", "test_suite.py::test_four"], "--range"),
    ],
    ids=["no such test", "no gpu", "skipped", "deselected", "cpu", "several", "range"],
)
def test_what_cannot_be_profiled_is_said_before_anything_is_measured(
    suite, args, message, monkeypatch
):
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)
    done = CliRunner().invoke(app, ["profile", "--gpus", "sim:1x24", *args])
    assert isinstance(done.exception, TonnageError), done.output
    assert message in str(done.exception)
    assert done.output == ""
    assert not list(suite.glob("*.csv"))


@pytest.mark.parametrize(
    ("args", "where"),
    [
        (["--gpus", "sim:0"], "--gpus"),
        (["--interval", "0"], "--interval"),
        (["--csv", "no/such/place.csv"], "--csv"),
        (["--plot", "picture.gif"], "--plot"),
        (["--cap", "vlm"], "--cap"),
        (["--range", "5%"], "--range"),
        (["--tolerance", "fine"], "--tolerance"),
        (["--no-recommend", "--apply"], "--no-recommend"),
        (["--no-find-min-vram", "--cap", "vllm"], "--cap"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_option_that_cannot_be_used_is_said_before_tests_are_collected(suite, args, where):
    done = CliRunner().invoke(app, ["profile", *args, "test_nowhere.py"])
    assert isinstance(done.exception, OptionError)
    assert done.exception.where == where


def test_after_an_interrupt_what_is_known_is_kept_and_the_rest_is_resumed(suite):
    command = [TONNAGE, "profile", "--gpus", "sim:1x24", *QUICK, "--no-find-min-vram"]
    command += ["-k", "four or case"]
    process = subprocess.Popen(
        [*command, "test_suite.py"],
        env={**environment(), "OF_THIS_TEST": str(suite)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        # The first test is done, and the second one has begun.
        if sum("[single pass]" in line for line in said) == 2:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    assert process.wait(PATIENCE_S) == 2, rest
    assert processes_of(str(suite)) == []
    table = rest.partition("ALL TESTS")[2]
    assert "4.0 GiB    5 GiB" in table
    assert "test_case[two] (interrupted)" in table
    assert "To go on from here: tonnage profile" in rest
    assert rest.endswith("--resume\n")

    done = subprocess.run(
        [*command, "--resume", "test_suite.py"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "test_four on GPU" not in done.stdout
    table = done.stdout.partition("ALL TESTS")[2]
    assert "4.0 GiB    5 GiB" in table
    assert "2.0 GiB    3 GiB" in table


def test_a_search_goes_on_after_the_profiler_was_killed_in_the_middle(suite):
    command = [TONNAGE, "profile", "--gpus", "sim:1x24", *QUICK]
    with subprocess.Popen(
        [*command, "test_suite.py::test_four"],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            if "[probe 2/" in line:
                process.kill()
    done = subprocess.run(
        [*command, "--resume", "test_suite.py::test_four"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[probe 1/" not in done.stdout
    assert "[probe 2/" in done.stdout
    assert "peak observed       : 4.0 GiB" in done.stdout
