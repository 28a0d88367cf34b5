"""Out of memory on a GPU that tests share: tried once more alone, and always shown."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.packed import run

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

HEAD = """
import os, time, pytest
from pathlib import Path
from tonnage.testkit import simgpu

HERE = Path(__file__).parent

def wait_for(name):
    end = time.monotonic() + 60
    while not (HERE / name).exists():
        assert time.monotonic() < end, f"{name} never came"
        time.sleep(0.005)

# Takes more than it declares, until the other one has felt it.
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(8)
def test_greedy():
    with simgpu.allocate(16):
        (HERE / "taken").touch()
        wait_for("felt")

"""
NEIGHBOUR = """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(12)
def test_neighbour():
    print("attempt", os.environ["TONNAGE_ATTEMPT"])
    wait_for("taken")
    try:
        with simgpu.allocate(%s):
            pass
    finally:
        (HERE / "felt").touch()
"""
GPUS = ("--gpus", "sim:1x24")


def replayed(pytester):
    """The recorded run, shown again, with a JUnit file in the place of its own."""
    (pytester.path / "out.xml").unlink()
    return pytester.run(Path(sys.executable).with_name("tonnage"), "replay", "--junitxml=out.xml")


def case(pytester, name):
    """The JUnit element of a test."""
    return next(
        case
        for case in ET.parse(pytester.path / "out.xml").iter("testcase")
        if case.get("name") == name
    )


def test_a_pass_on_its_own_is_shown_as_a_retry(pytester):
    pytester.makepyfile(test_gpu=HEAD + NEIGHBOUR % 12)
    result = run(pytester, *GPUS, "-v", "-rP", "--junitxml=out.xml", "--pack-trace=trace.json")
    assert result.parseoutcomes() == {"passed": 2, "rerun": 1}
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*test_neighbour RERUN*",
            "*test_neighbour PASSED (retried alone: shared-GPU out-of-memory)*",
        ]
    )
    result.stdout.fnmatch_lines(["attempt 2"])
    result.stdout.fnmatch_lines(["Tried more than once:", "*test_neighbour (passed, attempt 2)*"])
    flaky = case(pytester, "test_neighbour").find("flakyFailure")
    assert flaky is not None
    assert flaky.get("type") == "out_of_memory"
    assert "OutOfMemoryError" in flaky.findtext("stackTrace", "")
    assert "attempt 1" in flaky.findtext("system-out", "")
    trace = (pytester.path / "trace.json").read_text()
    assert trace.count("test_neighbour") >= 2
    again = replayed(pytester)
    assert again.parseoutcomes() == {"passed": 2, "rerun": 1}
    assert case(pytester, "test_neighbour").find("flakyFailure").get("type") == "out_of_memory"


def test_a_test_too_large_on_its_own_fails_by_itself_after_the_retry(pytester):
    pytester.makepyfile(test_gpu=HEAD + NEIGHBOUR % 30)
    result = run(pytester, *GPUS, "--junitxml=out.xml")
    assert result.parseoutcomes() == {"passed": 1, "failed": 1, "rerun": 1}
    found = case(pytester, "test_neighbour")
    assert found.find("rerunFailure").get("type") == "out_of_memory"
    assert found.find("failure").get("type") == "out_of_memory"
    assert replayed(pytester).parseoutcomes() == {"passed": 1, "failed": 1, "rerun": 1}
    found = case(pytester, "test_neighbour")
    assert found.find("rerunFailure").get("type") == "out_of_memory"
    assert found.find("failure").get("type") == "out_of_memory"


def test_a_failure_alone_on_the_card_is_not_retried(pytester):
    pytester.makepyfile(
        test_gpu=HEAD.partition("# Takes")[0]
        + """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(8)
def test_large():
    simgpu.allocate(30)
"""
    )
    assert run(pytester, *GPUS).parseoutcomes() == {"failed": 1}


def test_a_process_that_dies_of_a_full_card_is_retried_too(pytester):
    """As an engine does that prints the error and aborts."""
    pytester.makepyfile(
        test_gpu=HEAD
        + """
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(12)
def test_neighbour():
    wait_for("taken")
    try:
        with simgpu.allocate(12):
            pass
    except simgpu.OutOfMemoryError:
        (HERE / "felt").touch()
        os.write(2, b"terminate: CUDA_ERROR_OUT_OF_MEMORY\\n")
        os.abort()
"""
    )
    result = run(pytester, *GPUS)
    assert result.parseoutcomes() == {"passed": 2, "rerun": 1}


def test_enough_failures_do_not_count_the_attempt_that_does_not(pytester):
    pytester.makepyfile(test_gpu=HEAD + NEIGHBOUR % 12)
    assert run(pytester, *GPUS, "-x").parseoutcomes() == {"passed": 2, "rerun": 1}
