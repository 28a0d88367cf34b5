"""Fixtures of the integration tests."""

import pytest
from tests.fake_nvml import fake_nvml, fake_nvml_library
from tests.packed import load_only

__all__ = ["fake_nvml", "fake_nvml_library", "usual_plugins"]


@pytest.fixture(autouse=True)
def usual_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pytest that a test here starts has the plugins that GPU projects usually have."""
    load_only(monkeypatch, "timeout", "xdist")
