"""Fixtures of the fault suite."""

from tests.fake_nvml import fake_nvml, fake_nvml_library

__all__ = ["fake_nvml", "fake_nvml_library"]
