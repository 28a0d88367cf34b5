"""Packing onto simulated GPUs: who sees what, together or alone, measured and reported."""

import json

import pytest
from tests.packed import run

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

HEAD = """
import os, time
import pytest
from pathlib import Path
from tonnage.testkit import simgpu

def mark(name):
    (Path(__file__).parent / name).touch()

def wait_for(name):
    path, end = Path(__file__).parent / name, time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{name} never came"
        time.sleep(0.005)
"""


def suite(pytester, body):
    pytester.makepyfile(test_gpu=HEAD + body)
    pytester.makepyprojecttoml("[tool.tonnage]\nsample_interval_s = 0.02\n")
    return pytester


def test_two_that_fit_share_a_card_at_the_same_time(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(10)
@pytest.mark.parametrize("me,other", [("a", "b"), ("b", "a")])
def test_meets(me, other):
    with simgpu.allocate(9):
        mark(me)
        wait_for(other)
""",
    )
    assert run(pytester, "--gpus", "sim:1x24").parseoutcomes() == {"passed": 2}


def test_two_that_do_not_fit_never_overlap(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(14)
@pytest.mark.parametrize("n", range(3))
def test_alone(n):
    with simgpu.allocate(14):   # would be out of memory beside another
        time.sleep(0.05)
""",
    )
    assert run(pytester, "--gpus", "sim:1x24").parseoutcomes() == {"passed": 3}


def test_each_sees_the_cards_it_was_given_and_a_cpu_test_none(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_0
def test_none(): assert os.environ["CUDA_VISIBLE_DEVICES"] == ""

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_one(): assert simgpu.device_count() == 1

@pytest.mark.gpu_2
@pytest.mark.max_vram_gib(4)
def test_gang():
    assert simgpu.device_count() == 2
    simgpu.allocate(4, device=0), simgpu.allocate(4, device=1)
""",
    )
    assert run(pytester, "--gpus", "sim:2x24").parseoutcomes() == {"passed": 3}


def test_the_callers_mask_is_the_outer_limit(pytester, monkeypatch):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_one(): assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"

@pytest.mark.gpu_2
@pytest.mark.max_vram_gib(4)
def test_gang(): pass
""",
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    result = run(pytester, "--gpus", "sim:4x24")
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["*needs 2 GPUs, this machine has 1*"])


def test_what_can_never_fit_is_an_error_before_anything_runs(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(40)
def test_too_big(): pass

@pytest.mark.gpu_0
def test_fine(): pass
""",
    )
    result = run(pytester, "--gpus", "sim:1x24", "-v")
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["needs 40.0 GiB on one GPU, the largest here has 24.0 GiB"])


def test_what_cannot_run_here_but_skips_itself_is_skipped(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.skipif(True, reason="no GPU here")
def test_skips(): pass

@pytest.mark.gpu_1
@pytest.mark.skipif("1 / 0", reason="cannot be evaluated")
def test_broken_condition(): pass
""",
    )
    result = run(pytester, "--gpus", "none")
    assert result.parseoutcomes() == {"skipped": 1, "errors": 1}
    result.stdout.fnmatch_lines(["needs 1 GPU, this machine has none"])


def test_an_undeclared_test_has_a_card_to_itself_and_is_told_of(pytester):
    suite(
        pytester,
        """
@pytest.mark.parametrize("n", range(2))
def test_unmarked(n):
    with simgpu.allocate(20):
        time.sleep(0.05)
""",
    )
    result = run(pytester, "--gpus", "sim:1x24")
    assert result.parseoutcomes() == {"passed": 2}
    result.stdout.fnmatch_lines(["note: 2 tests without a hardware marker*"])
    as_cpu = run(pytester, "--gpus", "sim:1x24", "--undeclared", "cpu")
    assert as_cpu.parseoutcomes() == {"failed": 2}
    refused = run(pytester, "--gpus", "sim:1x24", "--undeclared", "error")
    assert refused.parseoutcomes() == {"errors": 2}


def test_a_declaration_that_lies_fails_alone_and_clearly(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_0
def test_lies():
    simgpu.allocate(1)

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_honest():
    simgpu.allocate(4)
""",
    )
    assert run(pytester, "--gpus", "sim:1x24").parseoutcomes() == {"passed": 1, "failed": 1}


def test_out_of_memory_is_an_outcome_of_its_own(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_too_much():
    simgpu.allocate(30)
""",
    )
    result = run(pytester, "--gpus", "sim:1x24")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["*test_gpu.py::test_too_much (out of memory)*"])


def test_a_peak_that_differs_from_its_declaration_comes_with_the_right_line(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(16)
def test_drifts():
    with simgpu.allocate(4):
        time.sleep(0.3)
""",
    )
    result = run(pytester, "--gpus", "sim:1x24")
    result.stdout.fnmatch_lines(
        ["*declared 16.0 GiB, peak 4.0 GiB (simulated) -> @pytest.mark.max_vram_gib(4.4)"]
    )


def test_a_simulated_context_at_import_means_a_new_interpreter(pytester):
    suite(
        pytester,
        """
held = simgpu.allocate(1)

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_uses_it():
    simgpu.allocate(1)
""",
    )
    pytester.makepyfile(test_other="def test_other(): pass")
    result = run(pytester, "--gpus", "sim:1x24")
    assert result.parseoutcomes() == {"passed": 2}
    result.stdout.fnmatch_lines(["note: after importing test_gpu.py a simulated GPU is in use*"])


def test_exclusive_resources_are_held_by_one_at_a_time(pytester):
    suite(
        pytester,
        """
@pytest.mark.needs(exclusive="the-file")
@pytest.mark.parametrize("n", range(3))
def test_holds(n):
    path = Path(__file__).parent / "lock"
    fd = os.open(path, os.O_CREAT | os.O_EXCL)   # fails if another one is at it
    time.sleep(0.05)
    os.close(fd)
    path.unlink()
""",
    )
    assert run(pytester, "--slots", "3").parseoutcomes() == {"passed": 3}


def test_more_host_memory_than_there_is_cannot_run(pytester):
    suite(
        pytester,
        """
@pytest.mark.needs(gpus=0, memory_gib=1_000_000)
def test_huge(): pass
""",
    )
    result = run(pytester)
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(["needs 1000000.0 GiB of host memory, this machine has *"])


def test_the_trace_has_the_tests_on_their_gpus(pytester):
    suite(
        pytester,
        """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_one():
    with simgpu.allocate(4): time.sleep(0.1)

@pytest.mark.gpu_0
def test_cpu(): pass
""",
    )
    run(pytester, "--gpus", "sim:2x24", "--pack-trace", "trace.json")
    trace = json.loads((pytester.path / "trace.json").read_text())
    bars = {row["args"]["node_id"]: row for row in trace["traceEvents"] if row["ph"] == "X"}
    assert set(bars) == {"test_gpu.py::test_one", "test_gpu.py::test_cpu"}
    assert bars["test_gpu.py::test_one"]["pid"] != bars["test_gpu.py::test_cpu"]["pid"]
    assert any(row["ph"] == "C" for row in trace["traceEvents"])
    assert trace["otherData"]["tests"] == 2
