"""A run that is interrupted, ended or killed: results so far are kept, nothing stays running."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packed import PATIENCE_S, outcomes, processes_of, wait_until

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

SUITE = """
import os, time, pytest

def test_quick(): pass

@pytest.mark.parametrize("n", range(4))
def test_waits(n):
    # Says that it runs, then waits until the file "go" is there.
    open(os.path.join(START, f"running{n}"), "w").close()
    while not os.path.exists(os.path.join(START, "go")):
        time.sleep(0.01)

START = os.getcwd()
"""

# A plugin: a zygote that does not end when it is told to is waited for so much shorter.
IMPATIENT = """
from tonnage.execute import controller

controller._END_LIMIT_S = 2.0
"""


class Run:
    """A packed run in the background, whose processes carry a mark."""

    def __init__(self, directory: Path, *args: str) -> None:
        (directory / "test_it.py").write_text(SUITE)
        (directory / "impatient.py").write_text(IMPATIENT)
        self.directory = directory
        self.mark = f"marked-{os.getpid()}-{directory.name}"
        scratch = directory / "scratch"
        scratch.mkdir()
        self.scratch = scratch
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pack"),
                *("--slots", "2", "--isolation", "test", "--gpus", "sim:1x24"),
                *("--undeclared", "cpu", "--junitxml=out.xml", "--pack-trace=out.json", "-v"),
                *args,
            ],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MARK": self.mark, "TMPDIR": str(scratch)},
            # Not ignored, whatever this process inherited: see signal(7) on background jobs.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.output = ""

    def read_until(self, text: str) -> None:
        """Wait for a text in the output."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while text not in self.output:
            ready, _, _ = select.select([fd], [], [], PATIENCE_S)
            assert ready, self.output
            data = os.read(fd, 65536)
            assert data, self.output
            self.output += data.decode()

    def wait_for(self, name: str) -> None:
        """Wait for a file that a test makes."""
        wait_until(lambda: (self.directory / name).exists())

    def finish(self) -> int:
        """Wait for the end; the exit status."""
        self.output += self.process.communicate(timeout=PATIENCE_S)[0].decode()
        return self.process.returncode


@pytest.fixture
def packed(tmp_path, request):
    run = Run(tmp_path, *getattr(request, "param", ()))
    run.wait_for("running0")
    yield run
    run.process.kill()
    run.process.wait()


def nothing_is_left(run: Run) -> bool:
    return processes_of(run.mark) == [] and not list(run.scratch.glob("tonnage-*"))


def test_ctrl_c_lets_what_runs_finish_and_starts_nothing_more(packed):
    packed.read_until("test_quick PASSED")
    packed.process.send_signal(signal.SIGINT)
    # The second signal must not come before the first has been seen: wait for a sign of it.
    (packed.directory / "go").touch()
    assert packed.finish() == pytest.ExitCode.INTERRUPTED
    results = outcomes(packed.directory / "out.xml")
    assert results["test_it::test_quick"] == "passed"
    assert results["test_it::test_waits[0]"] == "passed"
    assert len(results) < 5
    assert "KeyboardInterrupt" in packed.output
    assert nothing_is_left(packed)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1)]
)
def test_a_signal_to_end_ends_everything_and_keeps_the_results(packed, number, status):
    packed.read_until("test_quick PASSED")
    packed.process.send_signal(number)
    assert packed.finish() == status
    assert outcomes(packed.directory / "out.xml") == {"test_it::test_quick": "passed"}
    assert "test_it.py::test_quick" in (packed.directory / "out.json").read_text()
    assert f"ended by {number.name}" in packed.output
    assert nothing_is_left(packed)


def test_a_killed_controller_leaves_no_process_and_no_directory(packed):
    packed.process.kill()
    packed.process.wait()
    wait_until(lambda: nothing_is_left(packed))


def zygote_of(run: Run) -> int | None:
    """The pid of the run's zygote; None when there is none just now."""
    found = [
        pid
        for pid in processes_of(run.mark)
        if b"tonnage.execute.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
        and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        == str(run.process.pid)
    ]
    return found[0] if found else None


def test_a_killed_zygote_costs_what_ran_and_the_rest_goes_on(packed):
    packed.wait_for("running1")
    zygote = zygote_of(packed)
    assert zygote is not None
    os.kill(zygote, signal.SIGKILL)
    packed.read_until("test_waits[1] FAILED")
    (packed.directory / "go").touch()
    assert packed.finish() == pytest.ExitCode.TESTS_FAILED
    results = outcomes(packed.directory / "out.xml")
    lost = [name for name, result in results.items() if result != "passed"]
    assert len(results) == 5
    assert lost == ["test_it::test_waits[0]", "test_it::test_waits[1]"]
    assert "the process that starts the tests died of SIGKILL; 2 tests that ran" in packed.output
    assert "lost: the process that starts the tests is gone" in packed.output
    assert nothing_is_left(packed)


def test_a_zygote_that_is_killed_again_and_again_ends_the_run(packed):
    killed = set()
    while packed.process.poll() is None:
        zygote = zygote_of(packed)
        if zygote is not None and zygote not in killed:
            killed.add(zygote)
            os.kill(zygote, signal.SIGKILL)
        select.select([], [], [], 0.01)
    assert packed.finish() == pytest.ExitCode.INTERNAL_ERROR
    assert "died of SIGKILL" in packed.output
    wait_until(lambda: nothing_is_left(packed))


@pytest.mark.parametrize("packed", [("-p", "impatient")], indirect=True, ids=[""])
def test_a_zygote_that_is_stuck_does_not_keep_a_run_from_ending(packed):
    packed.wait_for("running1")
    zygote = zygote_of(packed)
    assert zygote is not None
    os.kill(zygote, signal.SIGSTOP)
    packed.process.send_signal(signal.SIGTERM)
    assert packed.finish() == 128 + 15
    assert outcomes(packed.directory / "out.xml") == {"test_it::test_quick": "passed"}
    wait_until(lambda: nothing_is_left(packed))


def test_a_run_that_is_asked_says_what_it_does(packed):
    packed.wait_for("running1")
    packed.process.send_signal(signal.SIGUSR1)
    packed.read_until("waiting  test_it.py::test_waits[2] and 1 other: needs 1 CPU slot, 0 free")
    assert "1 test ended, 2 running, 2 waiting" in packed.output
    (packed.directory / "go").touch()
    assert packed.finish() == pytest.ExitCode.OK


@pytest.mark.parametrize("command", ["run", "lint", "--version"])
def test_ctrl_c_while_a_command_starts_shows_no_traceback(tmp_path, command):
    # Whatever is imported next is interrupted: by a finder that is asked before all others.
    code = """
import sys
from tonnage.cli.start import main
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, command], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
