"""Selection and the dry run through the plugin."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packed import run

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

SUITE = """
import pytest

@pytest.mark.pre_merge
@pytest.mark.gpu_0
def test_cpu(): pass

@pytest.mark.pre_merge
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(8)
@pytest.mark.timeout(30)
def test_small(): pass

@pytest.mark.nightly
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(40)
def test_large(): pass

@pytest.mark.nightly
@pytest.mark.gpu_2
@pytest.mark.max_vram_gib(8)
@pytest.mark.timeout(60)
def test_gang(): pass

def test_undeclared(): pass
"""


@pytest.fixture
def suite(pytester):
    pytester.makepyfile(test_it=SUITE)
    pytester.makepyprojecttoml("[tool.tonnage]\n")
    return pytester


def ran(result) -> set[str]:
    return {line.split()[0].partition("::")[2] for line in result.outlines if " PASSED" in line}


@pytest.mark.parametrize("pack", [False, True])
def test_more_vram_than_the_limit_is_deselected_and_counted(suite, pack):
    gpus = ["--gpus", "sim:2x24"] if pack else []
    result = run(suite, "--max-vram-gib=16", "-v", *gpus, pack=pack)
    assert ran(result) == {"test_cpu", "test_small", "test_gang", "test_undeclared"}
    result.stdout.fnmatch_lines(
        [
            "1 test deselected: 1 needs more than 16 GiB (--max-vram-gib)",
            "test_it.py::test_large: *",
        ]
    )
    assert result.parseoutcomes() == {"passed": 4, "deselected": 1}


def test_a_stage_selects_the_earlier_ones_too(suite):
    early = run(suite, "--stage=post_merge", "-v", pack=False)
    assert ran(early) == {"test_cpu", "test_small"}
    late = run(suite, "--stage=release", "-v", pack=False)
    assert ran(late) == {"test_cpu", "test_small", "test_large", "test_gang"}


def test_what_this_machine_cannot_run_is_deselected_with_the_reason(suite):
    result = run(suite, "--fits", "--gpus", "sim:1x24", "-v", pack=False)
    assert ran(result) == {"test_cpu", "test_small", "test_undeclared"}
    text = result.stdout.str()
    assert "test_large: " in text
    assert "test_gang: " in text


def test_selection_combines_with_pytests_own(suite):
    result = run(suite, "--max-vram-gib=16", "-k", "small or large", "-v", pack=False)
    assert ran(result) == {"test_small"}
    assert result.parseoutcomes()["deselected"] == 4


def test_a_dry_run_shows_the_plan_and_runs_nothing(suite):
    result = run(suite, "--dry-run", "--gpus", "sim:2x24", pack=False)
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes() == {}
    result.stdout.fnmatch_lines(
        [
            "tonnage: dry run; 2 simulated GPUs of 24.0 GiB*",
            "4 tests planned: predicted makespan *, lower bound *",
            "*GPU 0, GPU 1*8.0 GiB  test_it.py::test_gang",
            "cannot run here:",
            "  test_it.py::test_large: needs 40.0 GiB on one GPU, the largest here has 24.0 GiB",
        ]
    )


def test_a_dry_run_of_nothing_is_an_empty_selection(suite):
    assert run(suite, "--dry-run", "-k", "no_such", pack=False).ret == 5


def test_a_dry_run_shows_collection_errors(suite):
    suite.makepyfile(test_broken="import no_such_module_anywhere")
    result = run(suite, "--dry-run", pack=False)
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_the_plan_as_json(suite):
    command = [str(Path(sys.executable).with_name("tonnage")), "plan", "--json"]
    done = subprocess.run(
        [*command, "--gpus", "sim:2x24", "-k", "not undeclared"],
        cwd=suite.path,
        capture_output=True,
        text=True,
        check=True,
    )
    plan = json.loads(done.stdout)
    by_id = {test["id"]: test for test in plan["tests"]}
    assert by_id["test_it.py::test_gang"]["gpus"] == ["GPU 0", "GPU 1"]
    assert by_id["test_it.py::test_gang"]["duration_s"] == 20.0
    assert by_id["test_it.py::test_small"]["reserved_gib"] == 8.0
    assert [refused["id"] for refused in plan["refused"]] == ["test_it.py::test_large"]
