"""The NVML backend over a compiled stand-in for the driver library."""

import json
import os
import subprocess
import sys

import pytest
from tests import fake_nvml as nvml

from tonnage.devices.backend import DeviceGpu, NoGpu, ProcessUse

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

OPEN = """
import json, os
from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec
devices = open_devices(parse_gpu_spec("nvml"), os.environ)
print(json.dumps({
    "uuids": [gpu.uuid for gpu in devices.gpus],
    "why_none": devices.why_none and devices.why_none.name,
    "note": devices.note,
    "environments": [devices.environment_for([gpu.uuid]) for gpu in devices.gpus],
}))
devices.close()
"""


def run_open(variables, mask=None):
    """Open NVML devices in a fresh process, which is when the loader looks for the library."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("CUDA_")}
    environ = {**inherited, **variables}
    if mask is not None:
        environ["CUDA_VISIBLE_DEVICES"] = mask
    done = subprocess.run(
        [sys.executable, "-c", OPEN], env=environ, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def test_gpus_are_listed_with_the_memory_that_can_be_used(fake_nvml):
    fake_nvml.gpu("GPU-a", 23034, reserved_mib=512, name="NVIDIA L4")
    fake_nvml.gpu("GPU-b", 81559, name="NVIDIA H100 80GB HBM3")
    with fake_nvml.backend() as backend:
        assert backend.list_gpus() == (
            DeviceGpu("GPU-a", 0, "NVIDIA L4", 22522),
            DeviceGpu("GPU-b", 1, "NVIDIA H100 80GB HBM3", 81559),
        )


def test_readings_follow_the_machine(fake_nvml):
    fake_nvml.gpu("GPU-a", 24000, used_mib=700, reserved_mib=100)
    fake_nvml.gpu("GPU-b", 24000)
    fake_nvml.process(0, pid=11, mib=300)
    fake_nvml.process(0, pid=12, mib=400)
    with fake_nvml.backend() as backend:
        backend.list_gpus()
        assert backend.read_used_mib("GPU-a") == 700
        assert backend.read_processes("GPU-a") == (ProcessUse(11, 300), ProcessUse(12, 400))
        assert backend.read_used_mib("GPU-b") == 0
        assert backend.read_processes("GPU-b") == ()
        fake_nvml.process(1, pid=13, mib=50)
        assert backend.read_processes("GPU-b") == (ProcessUse(13, 50),)


def test_a_process_that_computes_and_draws_is_listed_once(fake_nvml):
    fake_nvml.gpu("GPU-a", 24000)
    fake_nvml.process(0, pid=11, mib=300)
    fake_nvml.process(0, pid=11, mib=350, kind="graphics")
    fake_nvml.process(0, pid=12, mib=80)
    fake_nvml.process(0, pid=12, mib=20, kind="graphics")
    fake_nvml.process(0, pid=13, mib=30, kind="graphics")
    with fake_nvml.backend() as backend:
        backend.list_gpus()
        assert backend.read_processes("GPU-a") == (
            ProcessUse(11, 350),
            ProcessUse(12, 80),
            ProcessUse(13, 30),
        )


def test_however_many_processes_there_are_all_are_listed(fake_nvml):
    fake_nvml.gpu("GPU-a", 24000)
    with fake_nvml.backend() as backend:
        backend.list_gpus()
        for count in (64, 65, 200):
            fake_nvml.clear()
            fake_nvml.gpu("GPU-a", 24000)
            for pid in range(1, count + 1):
                fake_nvml.process(0, pid, mib=pid)
            expected = tuple(ProcessUse(pid, pid) for pid in range(1, count + 1))
            assert backend.read_processes("GPU-a") == expected
        fake_nvml.clear()
        fake_nvml.gpu("GPU-a", 24000)
        assert backend.read_processes("GPU-a") == ()


@pytest.mark.parametrize("mib", [-1, 0])
def test_memory_that_the_driver_will_not_tell_is_unknown(fake_nvml, mib):
    fake_nvml.gpu("GPU-a", 24000)
    fake_nvml.process(0, pid=11, mib=mib)
    with fake_nvml.backend() as backend:
        backend.list_gpus()
        assert backend.read_processes("GPU-a") == (ProcessUse(11, None),)


@pytest.mark.parametrize("code", [nvml.NO_PERMISSION, nvml.NOT_SUPPORTED, nvml.UNKNOWN])
def test_an_error_in_mid_run_makes_one_reading_unknown(fake_nvml, code):
    fake_nvml.gpu("GPU-a", 24000, used_mib=10)
    fake_nvml.gpu("GPU-b", 24000, used_mib=20)
    with fake_nvml.backend() as backend:
        backend.list_gpus()
        fake_nvml.error(0, "memory", code)
        fake_nvml.error(1, "compute", code)
        assert backend.read_used_mib("GPU-a") is None
        assert backend.read_processes("GPU-a") == ()
        assert backend.read_used_mib("GPU-b") == 20
        assert backend.read_processes("GPU-b") is None


def test_an_error_of_the_graphics_list_makes_the_list_unknown(fake_nvml):
    fake_nvml.gpu("GPU-a", 24000)
    fake_nvml.process(0, pid=11, mib=300)
    fake_nvml.error(0, "graphics", nvml.UNKNOWN)
    with fake_nvml.backend() as backend:
        backend.list_gpus()
        assert backend.read_processes("GPU-a") is None


def test_a_gpu_lost_in_mid_run_is_unknown_and_the_others_go_on(fake_nvml):
    fake_nvml.gpu("GPU-a", 24000, used_mib=10)
    fake_nvml.gpu("GPU-b", 24000, used_mib=20)
    with fake_nvml.backend() as backend:
        backend.list_gpus()
        for function in ("memory", "compute", "graphics", "uuid"):
            fake_nvml.error(0, function, nvml.GPU_IS_LOST)
        assert backend.read_used_mib("GPU-a") is None
        assert backend.read_processes("GPU-a") is None
        assert backend.read_used_mib("GPU-b") == 20


def test_a_gpu_lost_before_the_run_is_left_out_and_indices_stay(fake_nvml):
    for name in ("a", "b", "c"):
        fake_nvml.gpu(f"GPU-{name}", 24000)
    fake_nvml.error(1, "handle", nvml.GPU_IS_LOST)
    with fake_nvml.backend() as backend:
        assert [(gpu.uuid, gpu.index) for gpu in backend.list_gpus()] == [
            ("GPU-a", 0),
            ("GPU-c", 2),
        ]
    result = run_open(fake_nvml.environment)
    assert result["environments"] == [
        {"CUDA_VISIBLE_DEVICES": "GPU-a"},
        {"CUDA_VISIBLE_DEVICES": "GPU-c"},
    ]


def test_instances_stand_for_the_card_they_are_cut_from(fake_nvml):
    fake_nvml.gpu("GPU-a", 80000)
    fake_nvml.mig(0, "MIG-1", 40000, used_mib=5)
    fake_nvml.mig(0, "MIG-2", 20000)
    fake_nvml.gpu("GPU-b", 24000)
    fake_nvml.process(1001, pid=11, mib=300)
    fake_nvml.error(0, "memory", nvml.NO_PERMISSION)  # as in a container that has one slice
    with fake_nvml.backend() as backend:
        assert [(gpu.uuid, gpu.capacity_mib) for gpu in backend.list_gpus()] == [
            ("MIG-1", 40000),
            ("MIG-2", 20000),
            ("GPU-b", 24000),
        ]
        assert backend.read_used_mib("MIG-1") == 5
        assert backend.read_processes("MIG-2") == (ProcessUse(11, 300),)
    assert run_open(fake_nvml.environment, mask="MIG-2")["environments"] == [
        {"CUDA_VISIBLE_DEVICES": "MIG-2"}
    ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (nvml.DRIVER_NOT_LOADED, NoGpu.DRIVER_NOT_RUNNING),
        (nvml.NO_PERMISSION, NoGpu.NO_PERMISSION),
        (nvml.LIB_RM_VERSION_MISMATCH, NoGpu.VERSION_MISMATCH),
        (nvml.UNKNOWN, NoGpu.UNKNOWN_ERROR),
    ],
)
def test_a_driver_that_cannot_be_opened_is_a_reason(fake_nvml, code, reason):
    fake_nvml.init_fails(code)
    result = run_open(fake_nvml.environment)
    assert result["uuids"] == []
    assert result["why_none"] == reason.name
    assert result["note"].startswith(reason.value)


def test_the_drivers_own_words_stand_beside_an_error_without_a_name(fake_nvml):
    fake_nvml.init_fails(4321)
    assert "injected error 4321" in run_open(fake_nvml.environment)["note"]


def test_a_driver_that_opens_and_tells_nothing_is_a_reason(fake_nvml):
    fake_nvml.gpu("GPU-a", 24000)
    fake_nvml.error(-1, "count", nvml.NO_PERMISSION)
    assert run_open(fake_nvml.environment)["why_none"] == NoGpu.NO_PERMISSION.name


def test_an_old_driver_tells_the_cards_total_only(tmp_path):
    """Its own share is not told apart, and there is no list of processes that could be trusted."""
    fake = nvml.FakeNvml(nvml.compile_fake_nvml(tmp_path, "OLD_DRIVER"), tmp_path / "state")
    fake.gpu("GPU-a", 24000, used_mib=700, reserved_mib=100)
    with fake.backend() as backend:
        assert backend.list_gpus() == (DeviceGpu("GPU-a", 0, "L4", 24000),)
        assert backend.read_used_mib("GPU-a") == 800
        assert backend.read_processes("GPU-a") is None


def test_a_library_that_is_none_is_a_missing_one(tmp_path):
    """The loader finds a file of the right name first, and it is not a library."""
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    result = run_open({"LD_LIBRARY_PATH": str(tmp_path)})
    assert result["why_none"] == NoGpu.LIBRARY_MISSING.name


def test_a_driver_without_gpus_is_a_reason(fake_nvml):
    assert run_open(fake_nvml.environment)["why_none"] == NoGpu.NO_DEVICES.name


@pytest.mark.parametrize(
    ("mask", "uuids", "masks_written"),
    [
        (None, ["GPU-a1", "GPU-b2", "GPU-c3"], ["0", "1", "2"]),
        ("2,0", ["GPU-c3", "GPU-a1"], ["2", "0"]),
        ("GPU-b,GPU-a", ["GPU-b2", "GPU-a1"], ["GPU-b", "GPU-a"]),
    ],
)
def test_the_callers_mask_is_the_outer_limit(fake_nvml, mask, uuids, masks_written):
    for uuid in ("GPU-a1", "GPU-b2", "GPU-c3"):
        fake_nvml.gpu(uuid, 24000)
    result = run_open(fake_nvml.environment, mask)
    assert result["uuids"] == uuids
    written = [environment["CUDA_VISIBLE_DEVICES"] for environment in result["environments"]]
    assert written == masks_written


def test_a_mask_that_leaves_nothing_is_a_reason(fake_nvml):
    fake_nvml.gpu("GPU-a", 24000)
    result = run_open(fake_nvml.environment, mask="")
    assert result["why_none"] == NoGpu.ALL_MASKED.name
    assert "the machine has 1 GPU" in result["note"]


def test_the_note_says_what_there_is(fake_nvml):
    fake_nvml.gpu("GPU-a", 23040, name="NVIDIA L4")
    assert run_open(fake_nvml.environment)["note"] == "1 GPU: NVIDIA L4, 22.5 GiB (NVML)"
    fake_nvml.gpu("GPU-b", 23040, name="NVIDIA L4")
    assert run_open(fake_nvml.environment)["note"] == "2 GPUs: NVIDIA L4, 22.5 GiB each (NVML)"
    fake_nvml.gpu("GPU-c", 81920, name="NVIDIA H100")
    mixed = "3 GPUs: 2 x NVIDIA L4, 22.5 GiB; 1 x NVIDIA H100, 80.0 GiB (NVML)"
    assert run_open(fake_nvml.environment)["note"] == mixed


def test_indices_among_different_cards_are_said_to_be_in_pci_order(fake_nvml):
    """CUDA counts the fastest card first unless told otherwise, which NVML cannot tell."""
    fake_nvml.gpu("GPU-a", 23040, name="NVIDIA L4")
    fake_nvml.gpu("GPU-b", 81920, name="NVIDIA H100")
    assert "PCI order" in run_open(fake_nvml.environment, mask="0")["note"]
    ordered = {**fake_nvml.environment, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert "PCI order" not in run_open(ordered, mask="0")["note"]
