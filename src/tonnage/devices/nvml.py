"""The NVML device backend, through nvidia-ml-py. Imports the binding only when opened.

A MIG instance is a GPU of its own here and stands in the place of the card it is cut from: it
has its own UUID, memory and processes, and CUDA shows instances, not the card.
"""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tonnage.devices.backend import DeviceGpu, NoGpu, ProcessUse
from tonnage.units import mib_from_bytes

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class NoDriver:
    """Why the driver cannot be used, and its own words for it."""

    reason: NoGpu
    detail: str


def open_nvml() -> "NvmlBackend | NoDriver":
    """The driver, opened, or why it cannot be."""
    import pynvml

    try:
        pynvml.nvmlInit()
        pynvml.nvmlDeviceGetCount()  # some drivers let anyone in and refuse to tell anything
    except pynvml.NVMLError as error:
        reasons = {
            pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: NoGpu.LIBRARY_MISSING,
            pynvml.NVML_ERROR_DRIVER_NOT_LOADED: NoGpu.DRIVER_NOT_RUNNING,
            pynvml.NVML_ERROR_NO_PERMISSION: NoGpu.NO_PERMISSION,
            pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: NoGpu.VERSION_MISMATCH,
        }
        return NoDriver(reasons.get(error.value, NoGpu.UNKNOWN_ERROR), str(error))
    return NvmlBackend(pynvml)


class NvmlBackend:
    """NVIDIA GPUs as the driver reports them."""

    name = "nvml"

    def __init__(self, binding: Any) -> None:
        """Take over an initialised binding; `close` shuts it down."""
        self._nvml = binding
        self._handles: dict[str, Any] = {}
        # Loaded already: this is another name for the library that the binding uses.
        library = ctypes.CDLL("libnvidia-ml.so.1")
        # Chosen once, as the two forms disagree on whether the driver's own share is in use.
        has_reserved = hasattr(library, "nvmlDeviceGetMemoryInfo_v2")
        self._memory_form = (binding.nvmlMemory_v2,) if has_reserved else ()
        self._listings = (
            _ProcessListing(binding, library, "nvmlDeviceGetComputeRunningProcesses_v3"),
            _ProcessListing(binding, library, "nvmlDeviceGetGraphicsRunningProcesses_v3"),
        )

    def list_gpus(self) -> tuple[DeviceGpu, ...]:
        """Every GPU that answers, in PCI order; MIG instances stand in for their card.

        A lost GPU is left out, and the others keep their index.
        """
        found: list[DeviceGpu] = []
        index = 0
        for card in range(self._ask(self._nvml.nvmlDeviceGetCount) or 0):
            handle = self._ask(self._nvml.nvmlDeviceGetHandleByIndex, card)
            instances = list(self._mig_instances(handle)) if handle is not None else []
            for device in instances or [handle]:
                described = None if device is None else self._describe(device, index)
                if described is not None:
                    self._handles[described.uuid] = device
                    found.append(described)
                index += 1
        return tuple(found)

    def read_used_mib(self, uuid: str) -> int | None:
        """Memory in use on the GPU by anyone; None when the driver does not answer."""
        memory = self._memory(self._handles[uuid])
        return None if memory is None else mib_from_bytes(memory.used)

    def read_processes(self, uuid: str) -> tuple[ProcessUse, ...] | None:
        """Processes that compute or draw on the GPU; None when the driver does not answer.

        A process that does both is listed once, with the larger figure.
        """
        used: dict[int, int] = {}
        for listing in self._listings:
            processes = listing.read(self._handles[uuid])
            if processes is None:
                return None
            for pid, mib in processes:
                used[pid] = max(mib, used.get(pid, 0))
        # A context alone takes hundreds of MiB. A zero is how some drivers say, inside a
        # container, that they will not tell.
        return tuple(ProcessUse(pid, mib or None) for pid, mib in sorted(used.items()))

    def read_utilisation(self, uuid: str) -> int | None:
        """Percent of the driver's last sampling period in which a kernel ran on the GPU."""
        rates = self._ask(self._nvml.nvmlDeviceGetUtilizationRates, self._handles[uuid])
        return None if rates is None else int(rates.gpu)

    def close(self) -> None:
        """Shut the driver's library down for this process."""
        self._ask(self._nvml.nvmlShutdown)

    def _describe(self, handle: Any, index: int) -> DeviceGpu | None:
        uuid = self._ask(self._nvml.nvmlDeviceGetUUID, handle)
        name = self._ask(self._nvml.nvmlDeviceGetName, handle)
        memory = self._memory(handle)
        if uuid is None or memory is None:
            return None
        # What the driver keeps for itself is nobody's to plan with.
        capacity_mib = (memory.total - getattr(memory, "reserved", 0)) // (1024 * 1024)
        return DeviceGpu(uuid, index, name or "NVIDIA GPU", capacity_mib)

    def _mig_instances(self, handle: Any) -> Iterator[Any]:
        mode = self._ask(self._nvml.nvmlDeviceGetMigMode, handle)
        if mode is None or mode[0] != self._nvml.NVML_DEVICE_MIG_ENABLE:
            return
        for place in range(self._ask(self._nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            instance = self._ask(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
            if instance is not None:
                yield instance

    def _memory(self, handle: Any) -> Any | None:
        return self._ask(self._nvml.nvmlDeviceGetMemoryInfo, handle, *self._memory_form)

    def _ask(self, call: Callable[..., Answer], *arguments: Any) -> Answer | None:
        try:
            return call(*arguments)
        except (self._nvml.NVMLError, self._nvml.NVMLLibraryMismatchError):
            return None


class _ProcessEntry(ctypes.Structure):
    """`nvmlProcessInfo_t` of nvml.h since driver 510."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


class _ProcessListing:
    """One of the driver's process lists, read into a buffer that is kept.

    The binding's own function asks for the size first and makes two objects per process. Called
    for both lists of eight cards twenty times a second, that was a third of what sampling cost.
    One thread at a time may read.
    """

    def __init__(self, binding: Any, library: ctypes.CDLL, function: str) -> None:
        self._nvml = binding
        self._function = getattr(library, function, None)  # drivers before 510 have none
        self._make_room(64)

    def read(self, handle: Any) -> list[tuple[int, int]] | None:
        """Pid and MiB of each process (0: not told); None when the driver does not answer."""
        if self._function is None:
            return None
        self._count.value = len(self._buffer)
        code = self._function(handle, ctypes.byref(self._count), self._buffer)
        if code == self._nvml.NVML_ERROR_INSUFFICIENT_SIZE:
            self._make_room(2 * self._count.value)
            code = self._function(handle, ctypes.byref(self._count), self._buffer)
        if code != self._nvml.NVML_SUCCESS:
            return None
        not_told = self._nvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
        listed = []
        for entry in self._buffer[: self._count.value]:
            used_bytes = entry.used_bytes
            listed.append((entry.pid, 0 if used_bytes == not_told else mib_from_bytes(used_bytes)))
        return listed

    def _make_room(self, entries: int) -> None:
        self._buffer = (_ProcessEntry * entries)()
        self._count = ctypes.c_uint(entries)
