"""The limit on PyTorch's allocator, with a stand-in for torch that keeps its order of events."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

TORCH = """
from torch import cuda
"""
CUDA = """
from types import SimpleNamespace

calls, fractions, initialized = [], {}, False

def _lazy_call(call):
    call() if initialized else calls.append(call)

def init():
    global initialized
    initialized = True
    for call in calls:
        call()

def device_count():
    return 2

def get_device_properties(device):
    return SimpleNamespace(total_memory=(24 * 1024**3, 8 * 1024**3)[device] - 1234567)

def set_per_process_memory_fraction(fraction, device):
    assert initialized, "made a CUDA context for nothing"
    total = get_device_properties(device).total_memory
    fractions[device] = int(fraction * total)
"""


@pytest.fixture
def in_process(tmp_path):
    """Run a program where `cap` is what a test process does before its first test."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(TORCH)
    (tmp_path / "torch" / "cuda.py").write_text(CUDA)

    def run(body, **variables):
        head = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from tonnage.execute.torch_cap import cap_torch
def cap():
    cap_torch({{"TONNAGE_VRAM_CAPS": "torch", "TONNAGE_VRAM_CAP_MIB": "4096", **{variables!r}}})
LIMIT = 4096 * 1024**2
"""
        done = subprocess.run(
            [sys.executable, "-c", head + body], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    return run


def test_torch_that_comes_later_is_limited_when_it_initialises_cuda(in_process):
    in_process("""
cap()
assert "torch" not in sys.modules
before = list(sys.meta_path)
import torch
assert torch.cuda.fractions == {}
torch.cuda.init()
assert torch.cuda.fractions == {0: LIMIT, 1: LIMIT}
assert type(torch.__spec__.loader).__module__ != "tonnage.execute.torch_cap"
assert len(sys.meta_path) == len(before) - 1
""")


def test_torch_that_is_there_is_limited_when_it_initialises_cuda(in_process):
    in_process("""
import torch
cap()
assert torch.cuda.fractions == {}
torch.cuda.init()
assert torch.cuda.fractions == {0: LIMIT, 1: LIMIT}
""")


def test_torch_with_cuda_in_use_is_limited_at_once(in_process):
    in_process("""
import torch
torch.cuda.init()
cap()
assert torch.cuda.fractions == {0: LIMIT, 1: LIMIT}
""")


def test_more_than_the_card_is_the_whole_card(in_process):
    in_process(
        """
import torch
cap()
torch.cuda.init()
assert torch.cuda.fractions[1] == torch.cuda.get_device_properties(1).total_memory
""",
        TONNAGE_VRAM_CAP_MIB=str(100 * 1024),
    )


@pytest.mark.parametrize(
    "variables", [{"TONNAGE_VRAM_CAPS": "cooperative"}, {"TONNAGE_VRAM_CAP_MIB": ""}]
)
def test_without_the_mode_or_a_cap_nothing_is_touched(in_process, variables):
    in_process(
        """
before = list(sys.meta_path)
cap()
assert sys.meta_path == before
""",
        **variables,
    )


def test_a_machine_without_torch_says_so_as_ever(in_process, tmp_path):
    (tmp_path / "torch" / "__init__.py").unlink()
    (tmp_path / "torch" / "cuda.py").unlink()
    (tmp_path / "torch").rmdir()
    in_process("""
sys.path = [each for each in sys.path if "site-packages" not in each]
cap()
try:
    import torch
except ModuleNotFoundError as error:
    assert error.name == "torch"
else:
    raise AssertionError
""")
