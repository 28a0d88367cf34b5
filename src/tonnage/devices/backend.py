"""The device backend: what every source of GPUs offers, and every way of having none, by name."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DeviceGpu:
    """One GPU. `uuid` identifies it everywhere inside; `index` is PCI order, for people only."""

    uuid: str
    index: int
    name: str
    capacity_mib: int


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """VRAM one process holds on one GPU. `used_mib` None: the driver would not say."""

    pid: int
    used_mib: int | None


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """All GPUs at one moment, by UUID. None: unknown this time.

    `at_s` is the monotonic time at which the reading began. `source` is the backend's name.
    """

    at_s: float
    used_mib: dict[str, int | None]
    processes: dict[str, tuple[ProcessUse, ...] | None]
    source: str = "nvml"


class NoGpu(str, Enum):
    """Why there is no GPU. The value is the sentence a person reads."""

    SWITCHED_OFF = "GPUs are switched off (--gpus none)"
    LIBRARY_MISSING = "no NVIDIA driver library (libnvidia-ml.so.1) on this machine"
    DRIVER_NOT_RUNNING = "the NVIDIA driver is not loaded or cannot be talked to"
    NO_PERMISSION = "the NVIDIA driver refuses this user (no permission)"
    VERSION_MISMATCH = "the NVIDIA driver and its library have different versions; reboot or reload"
    NO_DEVICES = "the NVIDIA driver reports no GPU"
    ALL_MASKED = "CUDA_VISIBLE_DEVICES leaves no GPU visible"
    UNKNOWN_ERROR = "the NVIDIA driver answered with an error"


class DeviceBackend(Protocol):
    """A source of GPUs. Errors of single readings come back as None, never as exceptions."""

    name: str  # "nvml" or "simulated": how readings were obtained

    def list_gpus(self) -> tuple[DeviceGpu, ...]:
        """Every GPU of the machine, in PCI order, before any mask."""

    def read_used_mib(self, uuid: str) -> int | None:
        """Memory in use on the card now, by anyone; None when the driver does not answer."""

    def read_processes(self, uuid: str) -> tuple[ProcessUse, ...] | None:
        """Processes with memory on the card; None when the driver does not answer."""

    def read_utilisation(self, uuid: str) -> int | None:
        """Percent of the last moments in which the GPU computed; None when it is not told."""

    def close(self) -> None:
        """Let go of the driver."""
