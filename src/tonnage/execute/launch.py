"""Starting the zygote's interpreter: as early as possible, before it is known what it will collect.

It imports pytest and our own modules and then waits for its OpenSession, while the controller
reads configuration, opens devices and starts its session: the two need the same second of work.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from tonnage.execute import pytest_internals
from tonnage.execute.cgroup import RunCgroup
from tonnage.execute.environment import zygote_environment
from tonnage.execute.family import descendants_of, signal_all

# How a process of ours starts: with the parent's import path instead of the one that `-c` or `-m`
# would make, and without a file in the working directory shadowing the standard library.
_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from tonnage.execute.{module} import main; sys.exit(main(int(sys.argv[1]), sys.argv[2]))"
)


@dataclass(frozen=True, slots=True)
class Launched:
    """A zygote's interpreter, our end of its socket, and the group that it is in, if any."""

    process: "subprocess.Popen[bytes]"
    sock: socket.socket
    cgroup: RunCgroup | None
    entering: threading.Thread | None

    def wait_until_inside(self) -> None:
        """Wait until it is in its group; from then on it may start others."""
        if self.entering is not None:
            self.entering.join()

    def end(self) -> None:
        """End the process and everything below it; harmless when it has ended."""
        if self.process.poll() is None:
            family = (self.process.pid, *descendants_of(self.process.pid))
            signal_all(family, signal.SIGKILL)
            self.process.wait()


def command(module: str, fd: int, argument: str) -> list[str]:
    """The command line of `tonnage.execute.<module>.main(fd, argument)` in a new interpreter."""
    code = _BOOT.format(module=module)
    flags = pytest_internals.interpreter_flags()
    return [sys.executable, *flags, "-c", code, str(fd), argument, *sys.path]


def launch(log: Path, run_id: str, cgroup: RunCgroup | None, *, inherit_output: bool) -> Launched:
    """Start a zygote of this run. What it prints itself goes to `log`, or where ours goes."""
    ours, theirs = socket.socketpair()
    with theirs, log.open("wb") as file:
        output = None if inherit_output else file
        process = subprocess.Popen(
            command("zygote", theirs.fileno(), str(os.getpid())),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[theirs.fileno()],
            env=zygote_environment(os.environ, run_id),
            start_new_session=True,
        )
    entering = None
    if cgroup is not None:
        # The kernel takes its time over it, and we have other things to do meanwhile.
        entering = threading.Thread(target=cgroup.enter, args=(process.pid,), daemon=True)
        entering.start()
    ours.setblocking(False)
    return Launched(process, ours, cgroup, entering)
