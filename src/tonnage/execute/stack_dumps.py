"""What a process tree that hangs is doing: the stacks of every process, before it is ended.

Test processes and their forks answer a signal with the stacks of all their threads (faulthandler).
Other Python processes are asked through py-spy, where it is installed and allowed to look. All
write to the unit's file, each under a line that says who it is.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tonnage.execute.child import DUMP_SIGNAL
from tonnage.execute.family import describe, signal_all

# More processes than this are not asked: their stacks would bury the one that matters.
_MOST_PROCESSES = 16
# The time a process gets to write its stacks: it only formats a few lines.
_WRITE_TIME_S = 0.1
_PY_SPY_LIMIT_S = 5.0


def dump_stacks(leader: int, below: Sequence[int], path: str) -> None:
    """Append the stacks of a test process and its descendants to the file at `path`."""
    py_spy = find_py_spy()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        for pid in (leader, *below)[:_MOST_PROCESSES]:
            if _answers(pid):
                if pid != leader:
                    os.write(fd, f"\n{describe(pid)}:\n".encode())
                signal_all((pid,), DUMP_SIGNAL)
                time.sleep(_WRITE_TIME_S)
            elif py_spy is not None and _is_python(pid):
                os.write(fd, f"\n{describe(pid)}:\n".encode())
                _spy(py_spy, pid, fd)
    finally:
        os.close(fd)


def find_py_spy() -> str | None:
    """Where it is installed: on the path, or beside an interpreter that is not."""
    return shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))


def _answers(pid: int) -> bool:
    """Whether the process has a handler for our signal; it would end any other."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (DUMP_SIGNAL - 1) & 1)


def _is_python(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.startswith("python")
    except OSError:
        return False


def _spy(py_spy: str, pid: int, fd: int) -> None:
    try:
        subprocess.run(
            [py_spy, "dump", "--pid", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            timeout=_PY_SPY_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        os.write(fd, b"  (py-spy could not look)\n")
