"""A packed run on a real terminal: it answers a key, and leaves the terminal as it was."""

import os
import pty
import select
import signal
import sys
import termios

import pytest
from tests.packed import PATIENCE_S

from tonnage.record.runs import recorded_run

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="needs a controlling terminal"),
]

SUITE = """
import os, time

def test_waits():
    while not os.path.exists("go"):
        time.sleep(0.01)
"""


class Terminal:
    """A packed run that thinks it is used by a person."""

    def __init__(self) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            command = [sys.executable, "-m", "pytest", "--pack", "--gpus", "none", "--slots", "1"]
            os.execv(sys.executable, command)
        self.shown = ""

    def read_until(self, text: str) -> None:
        """Wait for a text on the screen."""
        while text not in self.shown:
            assert select.select([self.fd], [], [], PATIENCE_S)[0], self.shown
            self.shown += os.read(self.fd, 65536).decode(errors="replace")

    def finish(self) -> int:
        """Wait for the end; the exit status."""
        try:
            while data := os.read(self.fd, 65536):
                self.shown += data.decode(errors="replace")
        except OSError:
            pass  # how a terminal says that nobody is left
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_key_asks_for_the_status_and_the_terminal_is_as_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_it.py").write_text(SUITE)
    terminal = Terminal()
    before = termios.tcgetattr(terminal.fd)
    terminal.read_until("1 running")
    os.write(terminal.fd, b"t")
    terminal.read_until("tonnage: after ")
    terminal.read_until("test_it.py::test_waits")
    (tmp_path / "go").touch()
    terminal.read_until("1 passed")
    after = termios.tcgetattr(terminal.fd)
    assert terminal.finish() == 0, terminal.shown
    assert after == before


def test_a_terminal_that_is_closed_ends_the_run_and_the_record_says_how(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_it.py").write_text(SUITE)
    terminal = Terminal()
    terminal.read_until("1 running")
    os.close(terminal.fd)
    _, status = os.waitpid(terminal.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    [run] = (tmp_path / ".tonnage" / "runs").iterdir()
    assert recorded_run(run).ending == "signal 1"
