"""One injected fault: a suite that suffers it beside tests that must not notice, and the verdict.

Every fault runs as its user would meet it: the installed pytest with `--pack`, in a process of its
own, on simulated GPUs. Afterwards nothing may be left of the run.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fake_nvml import FakeNvml
from tests.packed import PATIENCE_S, outcomes, processes_of, wait_until

# Tests that have nothing to do with the fault, of every kind: their results must not change.
BYSTANDERS = """
import os, pytest, time
from tonnage.testkit import simgpu

@pytest.mark.gpu_0
@pytest.mark.parametrize("n", range(4))
def test_filler(n): pass

@pytest.mark.gpu_0
def test_fails(): assert 0

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(4)
def test_on_a_gpu():
    with simgpu.allocate(3):
        time.sleep(0.05)
"""
# The same where the GPUs are not simulated and nothing can be taken of them.
BYSTANDERS_ON_NVML = BYSTANDERS.replace("with simgpu.allocate(3):", "if True:")
BYSTANDERS_RESULT = {
    **{f"test_bystanders::test_filler[{n}]": "passed" for n in range(4)},
    "test_bystanders::test_fails": "failure",
    "test_bystanders::test_on_a_gpu": "passed",
}
# What suites of faults may use without importing it.
HEAD = """
import ctypes, itertools, os, pytest, signal, subprocess, sys, threading, time
from pathlib import Path
from tonnage.testkit import simgpu
HERE = Path(__file__).parent
cpu = pytest.mark.gpu_0
gpu = pytest.mark.max_vram_gib(4)
limit = pytest.mark.timeout(0.4)
"""
# The card of faults on NVML.
CARD = "GPU-11111111-2222-3333-4444-555555555555"
CONFIG = """
[tool.tonnage]
timeout_grace_s = 0.4
interrupt_grace_s = 0.4
sample_interval_s = 0.02
"""


@dataclass(frozen=True)
class Fault:
    """A fault. `part` and `what` say where it strikes and how, `result` what becomes of it.

    `suite` is the test file that suffers it; `inject` does from outside what a test cannot do
    itself. `expected` are the results of the suite's own tests by name, None where the run ends
    too early for a report. `says` must be in the output. `bystanders` False: the fault ends the
    run, so that theirs may be missing (but not wrong). `next_run_cleans`: nobody is left to remove
    the run's directories, which the next run does. `nvml`: on a card that a driver library of our
    own making shows. `needs_mounts`: the fault changes what is mounted, for its run alone.
    `needs_cgroups`: it is cleaned up after only where they can be written.
    """

    name: str
    part: str
    what: str
    result: str
    suite: str = ""
    expected: Mapping[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    status: int = 1
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    inject: Callable[["Victim"], None] | None = None
    prepare: Callable[[Path], Mapping[str, str]] | None = None
    wrap: Callable[[Path], list[str]] | None = None
    bystanders: bool = True
    limits: Callable[[], None] | None = None
    next_run_cleans: bool = False
    nvml: bool = False
    needs_mounts: bool = False
    needs_cgroups: bool = False


class Victim:
    """A packed run in a directory of its own, whose processes carry a mark."""

    def __init__(self, fault: Fault, directory: Path, nvml: FakeNvml) -> None:
        self.directory = directory
        self.nvml = nvml
        self.scratch = directory / "scratch"
        self.scratch.mkdir()
        self.locks = directory / "locks"
        self.mark = f"fault-{os.getpid()}-{directory.name}-{id(self)}"
        self.output = b""
        (directory / "pyproject.toml").write_text(CONFIG)
        bystanders = BYSTANDERS_ON_NVML if fault.nvml else BYSTANDERS
        (directory / "test_bystanders.py").write_text(bystanders)
        if fault.nvml:
            nvml.gpu(CARD, 24 * 1024)
        if fault.suite:
            (directory / "test_victim.py").write_text(HEAD + textwrap.dedent(fault.suite))
        extra = fault.prepare(directory) if fault.prepare else {}
        limits = fault.limits

        def before_exec() -> None:
            # Not ignored, whatever this process inherited.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if limits is not None:
                limits()

        environment = {
            **os.environ,
            "MARK": self.mark,
            "TMPDIR": str(self.scratch),
            "TONNAGE_LOCK_DIR": str(self.locks),
            **(nvml.environment if fault.nvml else {}),
            **fault.env,
            **extra,
        }
        self.process = subprocess.Popen(
            [
                *(fault.wrap(directory) if fault.wrap else ()),
                *(sys.executable, "-m", "pytest", "-v", "--pack"),
                *("--slots", "2", "--gpus", "nvml" if fault.nvml else "sim:1x24"),
                *("--undeclared", "cpu"),
                *("--junitxml=out.xml", *fault.args),
            ],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in environment.items() if value is not None},
            preexec_fn=before_exec,
        )

    def wait_for(self, name: str) -> None:
        """Wait for a file that a test makes."""
        wait_until(lambda: (self.directory / name).exists() or self.process.poll() is not None)

    def read_until(self, text: str) -> None:
        """Wait for a text in the output."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while text.encode() not in self.output:
            assert select.select([fd], [], [], PATIENCE_S)[0], self.text
            data = os.read(fd, 1 << 16)
            assert data, self.text
            self.output += data

    def finish(self) -> int:
        """Wait for the end; the exit status."""
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        self.output += rest or b""
        return self.process.returncode

    @property
    def text(self) -> str:
        """What was printed so far."""
        return self.output.decode(errors="replace")

    @property
    def results(self) -> dict[str, str]:
        """The results in the JUnit file; empty when there is none."""
        for path in (self.directory / "out.xml", self.scratch / "out.xml"):
            if path.exists():
                return outcomes(path)
        return {}

    def zygote(self) -> int | None:
        """The pid of the run's zygote; None when there is none just now."""
        for pid in processes_of(self.mark):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if b"tonnage.execute.zygote" in command and int(parent) == self.process.pid:
                return pid
        return None

    def signal_zygote(self, number: int) -> None:
        """Send a signal to the run's zygote."""
        zygote = self.zygote()
        assert zygote is not None, self.text
        os.kill(zygote, number)

    def leftovers(self) -> list[str]:
        """Everything that is still there of the run: processes, directories, reservations."""
        found = [f"process {pid}" for pid in processes_of(self.mark)]
        found += [str(path) for path in self.scratch.glob("tonnage-*")]
        return found + [str(path) for path in self.locks.rglob("*.run") if _is_locked(path)]

    def end(self) -> None:
        """End the run, however far it is."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _is_locked(path: Path) -> bool:
    """Whether somebody holds a lock on the file: a reservation counts for as long."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def suffer(fault: Fault, directory: Path, nvml: FakeNvml) -> None:
    """Run the fault and check everything about it; raises AssertionError."""
    victim = Victim(fault, directory, nvml)
    try:
        if fault.inject is not None:
            fault.inject(victim)
        status = victim.finish()
        assert status == fault.status, victim.text
        results = victim.results
        mine = {f"test_victim::{name}": result for name, result in fault.expected.items()}
        theirs = {name: result for name, result in results.items() if name in BYSTANDERS_RESULT}
        assert {n: r for n, r in results.items() if n not in BYSTANDERS_RESULT} == mine, victim.text
        if fault.bystanders:
            assert theirs == BYSTANDERS_RESULT, victim.text
        else:
            assert theirs.items() <= BYSTANDERS_RESULT.items(), victim.text
        for text in fault.says:
            assert text in victim.text, f"{text!r} is not in:\n{victim.text}"
        if fault.next_run_cleans:
            command = [
                sys.executable,
                "-m",
                "pytest",
                "--pack",
                "--gpus",
                "sim:1x24",
                "-k",
                "filler",
            ]
            environment = {**os.environ, "TMPDIR": str(victim.scratch)}
            subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
        wait_until(lambda: not victim.leftovers())
    finally:
        victim.end()
