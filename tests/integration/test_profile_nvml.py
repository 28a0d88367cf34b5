"""`tonnage profile` through the driver's library, on a card that a fake one shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packed import PATIENCE_S

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

TONNAGE = str(Path(sys.executable).parent / "tonnage")
OTHERS_MIB = 13_000
ELSEWHERE = 2**22 + 1  # beyond the largest pid that Linux gives: of another namespace

SUITE = """
import os, subprocess, sys, time
from pathlib import Path
import pytest

pytestmark = [pytest.mark.gpu_1, pytest.mark.unit]
STATE = Path(os.environ["FAKE_NVML_STATE"])
BEFORE = STATE.read_text()

def show(text):
    new = STATE.with_suffix(".of-test")
    new.write_text(text)
    new.replace(STATE)

def machine(used_mib, *processes, busy=0):
    listed = "".join(f"process 0 compute {pid} {mib}\\n" for pid, mib in processes)
    return f"gpu GPU-a 24976 400 {used_mib} L4\\nbusy 0 {busy}\\n{listed}"

@pytest.fixture(autouse=True)
def as_before():
    yield
    show(BEFORE)

def test_named():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        ours = (os.getpid(), 3000), (child.pid, 1096)
        show(machine(OTHERS + 4096, (HOLDER, OTHERS), *ours, busy=80))
        time.sleep(0.4)

def test_elsewhere():
    show(machine(OTHERS + 2048, (ELSEWHERE, OTHERS), (ELSEWHERE + 1, 2048)))
    time.sleep(0.4)
"""


def profiled(fake_nvml, test, holder):
    """The one probe of a test on a card that `holder` has half of, and what was printed."""
    fake_nvml.gpu("GPU-a", 24_976, OTHERS_MIB, reserved_mib=400)
    fake_nvml.process(0, holder, OTHERS_MIB)
    constants = f"HOLDER, OTHERS, ELSEWHERE = {holder}, {OTHERS_MIB}, {ELSEWHERE}\n"
    Path("pyproject.toml").write_text("[tool.tonnage]\n")
    Path("test_suite.py").write_text(constants + SUITE)
    options = ["--no-find-min-vram", "--baseline-seconds", "0.1", "--interval", "0.02", "--json"]
    done = subprocess.run(
        [TONNAGE, "profile", "--gpus", "nvml", *options, f"test_suite.py::{test}"],
        env={
            **{name: value for name, value in os.environ.items() if "TONNAGE" not in name},
            **fake_nvml.environment,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "12.7 GiB of the card's 24.0 GiB are taken by others: pid" in done.stderr
    [found] = json.loads(done.stdout)
    return found["result"]["probes"][0], done.stderr


def test_the_test_has_what_the_driver_says_its_processes_hold(fake_nvml, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probe, said = profiled(fake_nvml, "test_named", os.getpid())
    assert f"taken by others: pid {os.getpid()} (" in said
    assert (probe["method"], probe["peak_mib"]) == ("process tree", 4096)
    assert (probe["baseline_mib"], probe["leak_mib"]) == (OTHERS_MIB, 0)
    assert probe["utilisation_peak"] == 80
    assert "measured by  : process tree" in said


def test_where_its_pids_mean_nothing_it_has_what_is_above_the_baseline(
    fake_nvml, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    probe, said = profiled(fake_nvml, "test_elsewhere", ELSEWHERE)
    assert (probe["method"], probe["peak_mib"]) == ("device delta", 2048)
    assert (probe["baseline_mib"], probe["leak_mib"]) == (OTHERS_MIB, 0)
    assert "measured by  : device delta" in said
