"""A test with a known need: it holds 4 GiB of a GPU for a second, and no more than its cap allows.

    tonnage profile --gpus sim:1x24 examples/mock_gpu_alloc/test_mock_gpu_alloc.py
    tonnage profile examples/mock_gpu_alloc/test_mock_gpu_alloc.py        # where torch sees a GPU

The profiler limits a test by a fraction of the card in the environment. Whoever allocates GPU
memory has to keep to it: simulated memory does so by itself, torch is told below, and launch
scripts of inference engines get their flags from `tonnage engine-args`.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tonnage.testkit import simgpu

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_1]

NEED_GIB = 4
HELD_S = 1.0


@contextmanager
def gpu_memory(gib: float) -> Iterator[None]:
    """Hold `gib` GiB of the first visible GPU, simulated or real."""
    if simgpu.device_count():
        with simgpu.allocate(gib):
            yield
        return
    torch = pytest.importorskip("torch", reason="no simulated GPU, and no torch for a real one")
    if not torch.cuda.is_available():
        pytest.skip("no simulated GPU, and torch sees no real one")
    fraction = os.environ.get("DYN_GPU_MEMORY_FRACTION_OVERRIDE")
    if fraction:
        torch.cuda.set_per_process_memory_fraction(float(fraction))
    block = torch.empty(int(gib * 1024**3), dtype=torch.uint8, device="cuda")
    try:
        yield
    finally:
        del block
        torch.cuda.empty_cache()


@pytest.mark.timeout(60)
def test_mock_gpu_alloc() -> None:
    with gpu_memory(NEED_GIB):
        time.sleep(HELD_S)
