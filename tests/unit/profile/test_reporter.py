"""The framework's own count of memory, asked for without hurting the test it belongs to."""

import sys
from types import SimpleNamespace

import pytest

from tonnage.profile.reporter import counted_mib

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def torch_with(**cuda):
    return SimpleNamespace(cuda=SimpleNamespace(**cuda))


def broken():
    raise RuntimeError("the driver is gone")


@pytest.mark.parametrize(
    ("torch", "mib"),
    [
        (None, None),
        (torch_with(is_initialized=lambda: False), None),
        (torch_with(is_initialized=broken), None),
        (SimpleNamespace(), None),
        (
            torch_with(
                is_initialized=lambda: True,
                device_count=lambda: 2,
                max_memory_reserved=lambda device: (device + 1) << 30,
            ),
            2048,
        ),
    ],
)
def test_torch_is_asked_only_when_it_was_used(monkeypatch, torch, mib):
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert counted_mib() == mib
