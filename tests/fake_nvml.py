"""A fake NVIDIA driver library, compiled from C, so that the real ctypes path runs without a GPU.

A conftest offers the fixtures by importing `fake_nvml` and `fake_nvml_library` from here. The
binding loads the library by its soname, and where that is looked for is settled when a process
starts: give `FakeNvml.environment` to a subprocess, or use `FakeNvml.backend()`, whose backend
lives in one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tonnage.devices.backend import DeviceGpu, ProcessUse

SOURCE = Path(__file__).with_name("data") / "fake_nvml.c"

# The codes NVML gives, by the names of nvml.h.
NOT_SUPPORTED = 3
NO_PERMISSION = 4
DRIVER_NOT_LOADED = 9
GPU_IS_LOST = 15
LIB_RM_VERSION_MISMATCH = 18
UNKNOWN = 999

_SERVER = """
import json, sys
from dataclasses import asdict
from tonnage.devices.nvml import open_nvml
backend = open_nvml()
for line in sys.stdin:
    method, *arguments = json.loads(line)
    result = getattr(backend, method)(*arguments)
    if isinstance(result, tuple):
        result = [asdict(item) for item in result]
    print(json.dumps(result), flush=True)
"""


class FakeNvml:
    """The machine that the fake library shows. Every change is in force at once."""

    def __init__(self, library: Path, state: Path) -> None:
        self._library = library
        self._state = state
        self._lines: list[str] = []
        self._replace()

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process that shall load this library."""
        return {
            "LD_LIBRARY_PATH": str(self._library.parent),
            "FAKE_NVML_STATE": str(self._state),
        }

    def gpu(
        self, uuid: str, total_mib: int, used_mib: int = 0, reserved_mib: int = 0, name: str = "L4"
    ) -> None:
        self._add(f"gpu {uuid} {total_mib} {reserved_mib} {used_mib} {name}")

    def mig(self, gpu: int, uuid: str, total_mib: int, used_mib: int = 0) -> None:
        self._add(f"mig {gpu} {uuid} {total_mib} {used_mib}")

    def process(self, gpu: int, pid: int, mib: int, kind: str = "compute") -> None:
        self._add(f"process {gpu} {kind} {pid} {mib}")

    def busy(self, gpu: int, percent: int) -> None:
        self._add(f"busy {gpu} {percent}")

    def error(self, gpu: int, function: str, code: int) -> None:
        self._add(f"error {gpu} {function} {code}")

    def init_fails(self, code: int) -> None:
        self._add(f"init {code}")

    def clear(self) -> None:
        """An empty machine."""
        self._lines.clear()
        self._replace()

    @contextmanager
    def backend(self) -> "Iterator[RemoteBackend]":
        """The NVML backend, running in a process of its own over this library."""
        with subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        ) as process:
            yield RemoteBackend(process)
            process.stdin.close()

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self._replace()

    def _replace(self) -> None:
        new = self._state.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in self._lines))
        new.replace(self._state)


class RemoteBackend:
    """A device backend whose calls are answered by another process."""

    name = "nvml"

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def list_gpus(self) -> tuple[DeviceGpu, ...]:
        return tuple(DeviceGpu(**gpu) for gpu in self._call("list_gpus"))

    def read_used_mib(self, uuid: str) -> int | None:
        return self._call("read_used_mib", uuid)

    def read_processes(self, uuid: str) -> tuple[ProcessUse, ...] | None:
        processes = self._call("read_processes", uuid)
        return None if processes is None else tuple(ProcessUse(**each) for each in processes)

    def close(self) -> None:
        self._call("close")

    def _call(self, *request: str) -> Any:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def compile_fake_nvml(directory: Path, *defines: str) -> Path:
    """Compile the library into `directory`; of `defines`, it knows `OLD_DRIVER`."""
    library = directory / "libnvidia-ml.so.1"
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", *(f"-D{name}" for name in defines)]
    subprocess.run(["gcc", *options, "-o", library, SOURCE], check=True)
    return library


@pytest.fixture(scope="session")
def fake_nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library, once per run."""
    return compile_fake_nvml(tmp_path_factory.mktemp("fake-nvml"))


@pytest.fixture
def fake_nvml(fake_nvml_library: Path, tmp_path: Path) -> FakeNvml:
    """A machine without GPUs, to be filled."""
    return FakeNvml(fake_nvml_library, tmp_path / "nvml-state")
