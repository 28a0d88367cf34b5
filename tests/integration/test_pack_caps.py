"""`--vram-caps`: what capped tests are told, and what one that asks for more gets."""

import xml.etree.ElementTree as ET

import pytest
from tests.packed import run

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

SUITE = """
import os
import pytest
from tonnage.testkit import simgpu

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_keeps_to_it():
    with simgpu.allocate(4):
        pass

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_asks_for_more():
    with simgpu.allocate(3):
        simgpu.allocate(2)

@pytest.mark.gpu_1
def test_has_the_card():
    assert "TONNAGE_VRAM_FRACTION" not in os.environ
    with simgpu.allocate(20):
        pass
"""
NOTE = "declared max_vram_gib(4), capped at 4.0 GiB per GPU (--vram-caps cooperative); "
NOTE += "it asked for more: 2.00 GiB in one allocation"


def test_who_asks_for_more_than_declared_fails_with_both_figures(pytester):
    pytester.makepyfile(test_caps=SUITE)
    result = run(
        pytester, "--gpus", "sim:1x24", "--vram-caps", "cooperative", "--junitxml", "out.xml"
    )
    assert result.parseoutcomes() == {"passed": 2, "failed": 1}
    assert NOTE in result.stdout.str()
    (failure,) = ET.parse(pytester.path / "out.xml").iter("failure")
    assert NOTE in (failure.text or "")


def test_caps_are_off_unless_asked_for_and_a_key_asks_as_well(pytester):
    pytester.makepyfile(test_caps=SUITE)
    assert run(pytester, "--gpus", "sim:1x24").parseoutcomes() == {"passed": 3}
    pytester.makepyprojecttoml('[tool.tonnage]\nvram_caps = "cooperative"\n')
    assert run(pytester, "--gpus", "sim:1x24").parseoutcomes() == {"passed": 2, "failed": 1}


def test_what_the_caller_set_wins_over_the_cap(pytester, monkeypatch):
    pytester.makepyfile(
        test_caps="""
import os, pytest
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_it():
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == ".75"
"""
    )
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", ".75")
    result = run(pytester, "--gpus", "sim:1x24", "--vram-caps", "cooperative")
    assert result.parseoutcomes() == {"passed": 1}


def test_torch_is_limited_in_the_test_process_and_never_imported_for_it(pytester):
    (pytester.path / "torch").mkdir()
    (pytester.path / "torch" / "__init__.py").write_text("from torch import cuda\n")
    (pytester.path / "torch" / "cuda.py").write_text(
        """
from types import SimpleNamespace
calls, fractions = [], []
_lazy_call = calls.append
def init():
    for call in calls: call()
def is_initialized(): return bool(fractions)
def device_count(): return 1
def get_device_properties(device): return SimpleNamespace(total_memory=16 * 1024**3)
def set_per_process_memory_fraction(fraction, device): fractions.append(round(fraction, 6))
def max_memory_reserved(device): return 3 * 1024**3
class OutOfMemoryError(RuntimeError): pass
"""
    )
    pytester.makepyfile(
        test_torch="""
import sys, pytest

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_imports_it():
    import torch
    torch.cuda.init()
    assert torch.cuda.fractions == [0.25]
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_does_not(): assert "torch" not in sys.modules
"""
    )
    result = run(pytester, "--gpus", "sim:1x24", "--vram-caps", "torch")
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(
        ["*asked for more: 2.00 GiB in one allocation with 3.0 GiB reserved by torch"]
    )


def test_mps_on_simulated_cards_is_refused(pytester):
    pytester.makepyfile(test_caps=SUITE)
    result = run(pytester, "--gpus", "sim:1x24", "--vram-caps", "mps")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --vram-caps mps: simulated GPUs have no MPS"])


def test_a_mode_that_does_not_exist_is_refused(pytester):
    pytester.makepyfile(test_caps=SUITE)
    result = run(pytester, "--vram-caps", "cooperativ")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['*"cooperativ" is not one of off, cooperative, torch, mps'])
