"""The life of a run's MPS daemon, with a stand-in for nvidia-cuda-mps-control on the PATH.

The stand-in keeps to what the real one documents: `-f` runs the daemon in the foreground, without
an argument it passes the commands of its standard input on, and pipes are found by variable. Its
daemon starts a server below it that ignores TERM.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.packed import PATIENCE_S, processes_of, run

from tonnage.devices.backend import DeviceGpu
from tonnage.devices.open import Devices
from tonnage.errors import DeviceError
from tonnage.execute.mps import MpsDaemon

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="MPS is for Linux"),
]

CONTROL = """#!{python}
import os, subprocess, sys, time
pipes = os.environ["CUDA_MPS_PIPE_DIRECTORY"]
fifo = os.path.join(pipes, "control")
if sys.argv[1:] == ["-f"]:
    if os.environ.get("FAKE_MPS") == "broken":
        sys.exit("no device will have it")
    assert os.path.isdir(os.environ["CUDA_MPS_LOG_DIRECTORY"])
    server = subprocess.Popen([sys.executable, "-c",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
    with open(os.environ["FAKE_MPS_LOG"], "a") as log:
        print("daemon", pipes, os.environ["CUDA_VISIBLE_DEVICES"], file=log)
    os.mkfifo(fifo)
    while True:
        with open(fifo) as commands:
            for line in commands:
                with open(os.environ["FAKE_MPS_LOG"], "a") as log:
                    print(line.strip(), file=log)
                if line.startswith("quit") and os.environ.get("FAKE_MPS") != "deaf":
                    sys.exit(0)
assert not sys.argv[1:]
if not os.path.exists(fifo):
    sys.exit("Cannot find MPS control daemon process")
with open(fifo, "w") as commands:
    commands.write(sys.stdin.read())
"""
HOLDER = """
import os, signal, sys
from pathlib import Path
from tonnage.devices.backend import DeviceGpu
from tonnage.devices.open import Devices
from tonnage.execute.mps import MpsDaemon
gpus = (DeviceGpu("GPU-a", 0, "L4", 22000),)
daemon = MpsDaemon(Devices(gpus, None, None, "", {}), Path(sys.argv[1]), os.environ)
print("up", flush=True)
signal.pause()
"""


@pytest.fixture
def mps(tmp_path, monkeypatch):
    """A run's directory, and the stand-in on the PATH; nothing of it may be left at the end."""
    programs = tmp_path / "bin"
    programs.mkdir()
    control = programs / "nvidia-cuda-mps-control"
    control.write_text(CONTROL.format(python=sys.executable))
    control.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_MPS_LOG", str(tmp_path / "log"))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    # The pipes' path must be short: not below tmp_path, whose name holds the test's.
    directory = tmp_path.parent / f"r{os.getpid()}{time.monotonic_ns() % 100000}"
    directory.mkdir()
    yield directory
    wait_until(lambda: not processes_of(str(tmp_path / "log")))


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def devices(*uuids):
    gpus = tuple(DeviceGpu(uuid, n, "L4", 22000) for n, uuid in enumerate(uuids))
    return Devices(gpus, None, None, "", {})


def log_of(mps):
    with open(os.environ["FAKE_MPS_LOG"]) as file:
        return file.read().splitlines()


def test_it_runs_on_the_runs_cards_with_pipes_of_its_own_and_ends_with_the_run(mps):
    daemon = MpsDaemon(devices("GPU-a", "GPU-b"), mps, os.environ)
    pipes = daemon.environment["CUDA_MPS_PIPE_DIRECTORY"]
    assert pipes.startswith(str(mps))
    daemon.close()
    daemon.close()
    assert log_of(mps) == [f"daemon {pipes} GPU-a,GPU-b", "get_server_list", "quit -t 1"]
    assert list(mps.iterdir()) == []
    assert processes_of(os.environ["FAKE_MPS_LOG"]) == []


def test_one_that_does_not_heed_quit_is_ended(mps, monkeypatch):
    monkeypatch.setenv("FAKE_MPS", "deaf")
    MpsDaemon(devices("GPU-a"), mps, os.environ).close()
    assert processes_of(os.environ["FAKE_MPS_LOG"]) == []


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_stays_when_the_run_is_killed(mps, sig):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(mps)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"up\n"
        assert len(processes_of(os.environ["FAKE_MPS_LOG"])) >= 4  # holder, guard, daemon, server
        holder.send_signal(sig)
    wait_until(lambda: not processes_of(os.environ["FAKE_MPS_LOG"]))
    assert list(mps.iterdir()) == []


def test_one_that_does_not_start_is_quoted(mps, monkeypatch):
    monkeypatch.setenv("FAKE_MPS", "broken")
    with pytest.raises(DeviceError, match="does not start: it ended with status 1: no device will"):
        MpsDaemon(devices("GPU-a"), mps, os.environ)


def test_without_the_program_it_is_refused(mps, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="is not on the PATH"):
        MpsDaemon(devices("GPU-a"), mps, os.environ)


def test_mig_is_refused(mps):
    with pytest.raises(DeviceError, match="MIG instance"):
        MpsDaemon(devices("GPU-a", "MIG-b"), mps, os.environ)


def test_a_daemon_of_somebody_else_is_not_touched(mps, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/theirs")
    with pytest.raises(DeviceError, match="CUDA_MPS_PIPE_DIRECTORY=/theirs leads to"):
        MpsDaemon(devices("GPU-a"), mps, os.environ)


def test_a_packed_run_leads_its_tests_to_the_daemon(pytester, mps, fake_nvml, monkeypatch):
    fake_nvml.gpu("GPU-a", 24576)
    for name, text in fake_nvml.environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("TONNAGE_LOCK_DIR", str(mps / "reservations"))
    pytester.makepyfile(
        test_mps="""
import os, pytest
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_it():
    assert os.environ["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=4096M"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    assert os.path.exists(os.environ["CUDA_MPS_PIPE_DIRECTORY"] + "/control")

@pytest.mark.gpu_0
def test_cpu(): assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ
"""
    )
    monkeypatch.setenv("TMPDIR", str(mps))
    result = run(pytester, "--gpus", "nvml", "--vram-caps", "mps")
    assert result.parseoutcomes() == {"passed": 2}
    assert log_of(mps)[-1] == "quit -t 1"
