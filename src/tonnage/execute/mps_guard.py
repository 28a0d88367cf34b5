"""The guard of an MPS daemon: a process that starts it, waits for its reader to go, and ends it.

It answers one line on its standard output: `ready`, or what is wrong. The end of its standard
input means that the run is over, or was killed.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tonnage.execute.family import adopt_orphans, descendants_of, die_with_parent, signal_all

_READY_LIMIT_S = 10.0
_QUIT_LIMIT_S = 5.0
_TERM_LIMIT_S = 2.0
_POLL_S = 0.02
_LAST_WORDS = 500  # characters


def main(fd: int, order: str) -> int:
    """Keep the daemon that the JSON `order` describes until `fd` ends."""
    told = json.loads(order)
    program, home = told["program"], Path(told["home"])
    # A Ctrl-C is for the run; a TERM has us end the daemon as the run's end would.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.close(fd))
    adopt_orphans()  # servers that the daemon leaves behind stay below us
    us = os.getpid()
    with (home / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [program, "-f"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: die_with_parent(us),
        )
    try:
        problem = _wait_until_ready(program, daemon, home / "daemon.log")
        print(problem or "ready", flush=True)  # noqa: T201 - the answer that is waited for
        if not problem:
            _wait_for_end(fd)
            _ask(program, "quit -t 1", _QUIT_LIMIT_S)
    finally:
        _end(daemon)
        shutil.rmtree(home, ignore_errors=True)
    return 0


def _wait_until_ready(program: str, daemon: "subprocess.Popen[bytes]", log: Path) -> str:
    """Ask until the daemon answers; else what it said last."""
    deadline_s = time.monotonic() + _READY_LIMIT_S
    while time.monotonic() < deadline_s:
        if daemon.poll() is not None:
            words = log.read_text(errors="replace").strip()[-_LAST_WORDS:]
            return f"it ended with status {daemon.returncode}" + (f": {words}" if words else "")
        if _ask(program, "get_server_list", _POLL_S * 50):
            return ""
        time.sleep(_POLL_S)
    return f"it did not answer within {_READY_LIMIT_S:.0f} s"


def _ask(program: str, line: str, limit_s: float) -> bool:
    """Whether the daemon took this command."""
    try:
        done = subprocess.run(
            [program],
            input=f"{line}\n".encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _wait_for_end(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except OSError:
        pass  # closed by our own TERM handler


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    """Wait for the daemon to quit; TERM, then KILL, for it and for all that is still below us."""
    for sig, limit_s in ((signal.SIGTERM, _TERM_LIMIT_S), (signal.SIGKILL, _TERM_LIMIT_S)):
        try:
            daemon.wait(_TERM_LIMIT_S if sig == signal.SIGTERM else 0)
        except subprocess.TimeoutExpired:
            pass
        below = descendants_of(os.getpid())
        if not below:
            return
        signal_all(below, sig)
        deadline_s = time.monotonic() + limit_s
        while descendants_of(os.getpid()) and time.monotonic() < deadline_s:
            _reap()
            time.sleep(_POLL_S)


def _reap() -> None:
    """Take leave of children that have ended, the adopted ones too."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
