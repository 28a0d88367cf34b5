"""Facts that forbid a fork."""

import os
import threading

import pytest

from tonnage.devices.fork_safety import current_hazards, fork_hazards

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

ORDINARY = ["/dev/null", "pipe:[123]", "/home/me/a-context-free.txt", "anon_inode:[eventpoll]"]


def test_an_ordinary_process_can_be_forked():
    assert fork_hazards(ORDINARY, 1) == ()


def test_asking_nvml_is_harmless():
    assert fork_hazards(["/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia1"], 1) == ()


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("/dev/nvidia-uvm", "CUDA"),
        ("/dev/kfd", "ROCm"),
        ("/dev/dxg", "WSL"),
        ("/tmp/tonnage-sim-x/context-GPU-00", "simulated"),
    ],
)
def test_a_context_is_a_hazard_named_once(target, word):
    [hazard] = fork_hazards([*ORDINARY, target, target], 1)
    assert word in hazard


def test_threads_are_a_hazard():
    assert fork_hazards([], 3) == ("3 threads are running",)


def test_every_hazard_is_named():
    assert len(fork_hazards(["/dev/nvidia-uvm", "/dev/kfd", "/x/context-GPU-1"], 2)) == 4


def test_this_process_is_read(tmp_path):
    context = os.open(tmp_path / "context-GPU-0", os.O_CREAT | os.O_RDWR)
    try:
        assert "a simulated GPU is in use" in current_hazards()
    finally:
        os.close(context)
    assert "a simulated GPU is in use" not in current_hazards()


def test_a_thread_of_this_process_is_seen():
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert any("threads are running" in hazard for hazard in current_hazards())
    finally:
        end.set()
        thread.join()
