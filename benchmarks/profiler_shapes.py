"""Tests with a known use of GPU memory, run by benchmarks/profiler.py under the profiler.

On simulated cards memory is the ledger's; with PROFILE_SHAPES=torch it is torch's on a real GPU.
All honour the cap by running out of memory.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tonnage.testkit import simgpu

WITH_TORCH = os.environ.get("PROFILE_SHAPES") == "torch"
FRACTION = "DYN_GPU_MEMORY_FRACTION_OVERRIDE"

HOLD = """
import sys
import time
from benchmarks.profiler_shapes import memory
with memory(float(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def memory(gib: float) -> Iterator[None]:
    """Hold so many GiB of the first GPU."""
    if not WITH_TORCH:
        with simgpu.allocate(gib):
            yield
        return
    import torch

    if fraction := os.environ.get(FRACTION):
        torch.cuda.set_per_process_memory_fraction(float(fraction))
    block = torch.empty(int(gib * 1024**3), dtype=torch.uint8, device="cuda")
    yield
    del block
    torch.cuda.empty_cache()


def start(gib: float, outlives_s: float = 0.0) -> "subprocess.Popen[bytes]":
    """A process that holds so many GiB until its input ends, or longer; fails when it cannot."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(gib), str(outlives_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if process.stdout.readline() != b"held\n":
        pytest.fail(process.stderr.read().decode())
    return process


@contextmanager
def child(gib: float) -> Iterator[None]:
    """Hold so many GiB in a process of its own."""
    with start(gib) as process:
        yield
        process.stdin.close()


def test_steady():
    with memory(4):
        time.sleep(1.0)


def test_spike():
    with memory(3):
        time.sleep(0.5)
        with memory(3):
            time.sleep(0.1)
        time.sleep(0.5)


def test_staircase():
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(memory(2))
            time.sleep(0.5)


def test_cache():
    with memory(5):
        time.sleep(0.8)
        with memory(7):
            time.sleep(0.8)


def test_leak():
    start(2, outlives_s=600)
    with memory(3):
        time.sleep(0.8)


def test_two_processes():
    with memory(3), child(5):
        time.sleep(0.8)


def test_child_processes():
    with child(2), child(2), child(2):
        time.sleep(0.8)


@pytest.fixture
def late():
    yield
    with memory(6):
        time.sleep(0.6)


def test_teardown(late):
    with memory(2):
        time.sleep(0.6)
