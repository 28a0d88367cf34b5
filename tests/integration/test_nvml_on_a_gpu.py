"""What the rest takes for granted about NVIDIA's driver, asked of the driver itself."""

import json
import os
import subprocess
import sys

import pytest

from tonnage.devices.nvml import NoDriver, open_nvml
from tonnage.devices.visibility import visible_gpus


def gpus_or_reason():
    """The UUIDs of this machine's GPUs, or why there are none."""
    backend = open_nvml()
    if isinstance(backend, NoDriver):
        return [], backend.reason.value
    try:
        return [gpu.uuid for gpu in backend.list_gpus()], "the driver shows none"
    finally:
        backend.close()


UUIDS, REASON = gpus_or_reason()
pytestmark = [
    pytest.mark.post_merge,
    pytest.mark.integration,
    pytest.mark.gpu_1,
    pytest.mark.max_vram_gib(1),  # a CUDA context at most
    pytest.mark.timeout(120),
    pytest.mark.skipif(not UUIDS, reason=f"needs a GPU: {REASON}"),
]

# Counts devices as CUDA does, and says what of it this process shows.
COUNT = """
import ctypes, json
from tonnage.devices.fork_safety import current_hazards
from tonnage.devices.nvml import open_nvml
backend = open_nvml()
backend.list_gpus()
before = current_hazards()
cuda = ctypes.CDLL("libcuda.so.1")
count = ctypes.c_int(0)
code = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
print(json.dumps({"code": code, "count": count.value, "before": before,
                  "after": current_hazards()}))
"""
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE: what cuInit says behind a mask that leaves nothing


@pytest.fixture
def uuids():
    """The UUIDs of this machine's GPUs."""
    return UUIDS


def count_by_cuda(mask):
    """What CUDA makes of a mask, in a fresh process."""
    environ = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": mask}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=environ, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "mask",
    [
        "0",
        "",
        "-1",
        "0,-1",
        "0,0",
        "99",
        "0,99",
        "nine",
        " 0",
        "0gpu",
        "{uuid}",
        "{prefix}",
        "{uuid},{uuid}",
        "GPU-zz",
        "{uuid},GPU-zz",
    ],
)
def test_masks_mean_what_cuda_takes_them_to_mean(uuids, mask):
    text = mask.format(uuid=uuids[0], prefix=uuids[0][:14])
    by_cuda = count_by_cuda(text)
    assert by_cuda["code"] in (0, NO_DEVICE)
    assert len(visible_gpus(text, uuids)) == by_cuda["count"]


def test_initialising_cuda_forbids_forking_and_asking_nvml_does_not(uuids):
    result = count_by_cuda(uuids[0])
    assert not any("CUDA" in hazard for hazard in result["before"])
    assert any("CUDA" in hazard for hazard in result["after"])
