"""`--vram-caps mps`: NVIDIA's MPS control daemon for one run, and the reasons not to start it.

The daemon is started by a guard, a small process that waits for our end of a pipe to close and
then ends the daemon and everything below it. It closes when the run is over, and just the same
when the run is killed (execute.mps_guard).
"""

import json
import os
import select
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tonnage.devices.open import Devices
from tonnage.errors import DeviceError
from tonnage.execute.launch import command

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
# How long the guard may take to bring the daemon up or down before we go on without its word.
_START_LIMIT_S = 30.0
_END_LIMIT_S = 15.0
# The daemon makes a socket below its pipe directory, and the path of a socket is short: unix(7).
_LONGEST_DIRECTORY = 90


class MpsDaemon:
    """A running daemon of our own. `environment` leads a process to it."""

    def __init__(self, devices: Devices, directory: Path, environ: Mapping[str, str]) -> None:
        """Start it, with its pipes and logs in `directory`. Raises DeviceError where it cannot."""
        program = _usable_program(devices, directory, environ)
        home = directory / "mps"
        pipes, logs = home / "pipe", home / "log"
        for made in (home, pipes, logs):
            made.mkdir(mode=0o700)
        self.environment = {PIPES: str(pipes), LOGS: str(logs)}
        order = json.dumps({"program": program, "home": str(home)})
        # The fd that `command` passes on is the guard's standard input.
        self._guard = subprocess.Popen(
            command("mps_guard", 0, order),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **environ,
                **self.environment,
                "CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in devices.gpus),
            },
            start_new_session=True,
        )
        problem = self._answer()
        if problem:
            self.close()
            raise _refusal(f"{CONTROL} does not start: {problem}")

    def close(self) -> None:
        """End the daemon and everything below it. Doing so twice is harmless."""
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._guard.stdin.close()
        try:
            self._guard.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()  # the daemon dies with it
            self._guard.wait()
        self._guard.stdout.close()

    def _answer(self) -> str:
        """What is wrong, in the guard's words; empty when the daemon is up."""
        assert self._guard.stdout is not None
        if not select.select([self._guard.stdout], [], [], _START_LIMIT_S)[0]:
            return f"no answer within {_START_LIMIT_S:.0f} s"
        line = os.read(self._guard.stdout.fileno(), 65536).decode(errors="replace").strip()
        return "" if line == "ready" else line or "its guard ended without a word"


def _usable_program(devices: Devices, directory: Path, environ: Mapping[str, str]) -> str:
    """The path of the control program, where nothing speaks against using it."""
    if devices.backend is not None and devices.backend.name == "simulated":
        raise _refusal("simulated GPUs have no MPS")
    if any(gpu.uuid.startswith("MIG-") for gpu in devices.gpus):
        raise _refusal("one of the GPUs is a MIG instance, which needs an MPS daemon of its own")
    if environ.get(PIPES):
        raise _refusal(f"{PIPES}={environ[PIPES]} leads to an MPS daemon that is not this run's")
    if len(str(directory)) > _LONGEST_DIRECTORY:
        raise DeviceError(
            f"the run's directory {directory} is too long a path for the daemon's socket",
            where="--vram-caps mps",
            remedy="Set TMPDIR to a directory with a short path.",
        )
    program = shutil.which(CONTROL, path=environ.get("PATH"))
    if program is None:
        raise _refusal(f"{CONTROL} is not on the PATH; it comes with the NVIDIA driver")
    return program


def _refusal(reason: str) -> DeviceError:
    return DeviceError(
        reason,
        where="--vram-caps mps",
        remedy="Use --vram-caps torch or cooperative instead, which need no daemon.",
    )
