"""Opening what was asked for, within the caller's mask, without a driver."""

import pytest

from tonnage.devices.backend import NoGpu
from tonnage.devices.ledger import LEDGER_VARIABLE, Ledger
from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec
from tonnage.errors import DeviceError

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


@pytest.fixture
def opened():
    """Opens devices by the text of `--gpus`, and closes them when the test is over."""
    all_devices = []

    def open_by_text(text, **environ):
        devices = open_devices(parse_gpu_spec(text), environ)
        all_devices.append(devices)
        return devices

    yield open_by_text
    for devices in all_devices:
        devices.close()


def test_switched_off(opened):
    devices = opened("none")
    assert devices.gpus == ()
    assert devices.backend is None
    assert devices.why_none is NoGpu.SWITCHED_OFF
    assert devices.note == NoGpu.SWITCHED_OFF.value
    assert devices.environment_for(()) == {"CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("sim:1x24", "1 simulated GPU of 24.0 GiB"),
        ("sim:2x24", "2 simulated GPUs of 24.0 GiB"),
        ("sim:1x22.5,1x80", "2 simulated GPUs of 22.5 GiB and 80.0 GiB"),
    ],
)
def test_simulated_cards_are_described(opened, text, note):
    devices = opened(text)
    assert devices.note == note
    assert devices.why_none is None
    assert len({gpu.uuid for gpu in devices.gpus}) == len(devices.gpus)


def test_the_mask_limits_and_orders_the_cards(opened):
    every = opened("sim:1x10,1x20,1x30").gpus
    devices = opened("sim:1x10,1x20,1x30", CUDA_VISIBLE_DEVICES="2,0")
    assert devices.gpus == (every[2], every[0])
    assert devices.environment_for([every[0].uuid])["CUDA_VISIBLE_DEVICES"] == "0"
    assert "leaves 2 of 3" in devices.note


@pytest.mark.parametrize("mask", ["", "-1", "0,0", "GPU-ffff"])
def test_a_mask_that_leaves_nothing_is_a_reason(opened, mask):
    devices = opened("sim:2x24", CUDA_VISIBLE_DEVICES=mask)
    assert devices.gpus == ()
    assert devices.why_none is NoGpu.ALL_MASKED
    assert repr(mask) in devices.note
    assert devices.environment_for(())["CUDA_VISIBLE_DEVICES"] == ""


def test_each_run_has_cards_of_its_own_and_removes_them(opened):
    first, second = opened("sim:1x24"), opened("sim:1x24")
    directories = {devices.base_environment[LEDGER_VARIABLE] for devices in (first, second)}
    assert len(directories) == 2
    first.close()
    with pytest.raises(DeviceError):
        Ledger(first.backend.ledger.directory)
    assert Ledger(second.backend.ledger.directory).live() == ()


def test_a_run_inside_a_run_shares_the_same_cards_and_leaves_them(opened):
    outer = opened("sim:2x24")
    inner = opened("sim:2x24", **outer.base_environment)
    assert inner.base_environment == outer.base_environment
    inner.close()
    assert outer.backend.read_used_mib(outer.gpus[0].uuid) == 0


def test_other_cards_than_the_outer_runs_are_new_ones(opened):
    outer = opened("sim:2x24")
    inner = opened("sim:1x24", **outer.base_environment)
    assert inner.base_environment != outer.base_environment


def test_a_ledger_left_over_from_an_ended_run_is_passed_over(opened, tmp_path):
    devices = opened("sim:1x24", TONNAGE_SIM_LEDGER=str(tmp_path / "gone"))
    assert len(devices.gpus) == 1


def test_no_place_for_the_ledger_is_a_plain_error(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(DeviceError, match="no place to live") as caught:
        open_devices(parse_gpu_spec("sim:1x24"), {})
    assert "TMPDIR" in str(caught.value)
