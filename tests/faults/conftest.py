"""Fixtures of the fault suite."""

import pytest
from tests.fake_nvml import fake_nvml, fake_nvml_library
from tests.packed import load_only

__all__ = ["fake_nvml", "fake_nvml_library", "usual_plugins"]


@pytest.fixture(autouse=True)
def usual_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults meet our own deadlines, so pytest-timeout stays out."""
    load_only(monkeypatch, "xdist")
