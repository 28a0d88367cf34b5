"""Fixtures that outlive a test, kept safe from it: they are torn down even if the test crashes.

Before a test of a batch runs, its process forks a *keeper*, which holds a copy of every fixture set
up so far and sleeps. Nearly always it is simply ended after the test. If the test takes its process
with it, the kernel wakes the keeper, and the finalisers run there: servers are stopped, files
removed. Where forking is unsafe (the process holds a GPU or threads) there is no keeper, and the
supervisor ends what the fixtures had started.
"""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tonnage.devices.fork_safety import current_hazards

# What /proc/<pid>/comm says of a keeper: how the supervisor knows one.
_NAME = b"tonnage-keeper"
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_WAKE = signal.SIGRTMIN + 6 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1


@contextmanager
def kept(tear_down: Callable[[], None]) -> Iterator[None]:
    """While the block runs, a keeper would call `tear_down` if this process were to die."""
    if sys.platform != "linux" or current_hazards():
        yield
        return
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _keep(parent, tear_down)
    try:
        yield
    finally:
        if os.getpid() == parent:  # not in a fork that returned from the test
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def is_keeper(pid: int) -> bool:
    """Whether this process is a keeper."""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().strip() == _NAME
    except OSError:
        return False


def _keep(parent: int, tear_down: Callable[[], None]) -> NoReturn:
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {_WAKE})
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NAME, _NAME, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, _WAKE, 0, 0, 0)
        if os.getppid() == parent:
            signal.sigwait({_WAKE})
        tear_down()
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)
