"""A private directory that goes with the run that made it, also when that run is killed.

Its maker keeps a lock on a file inside for as long as it lives. Whoever makes the next one looks
for directories whose lock nobody keeps any more, and removes them. Asking the kernel about a lock
is right even between containers that share a temp dir, where asking about pids would not be.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_CLAIM = "claim"


class ScratchDirectory:
    """A new directory of mode 0700 in the system's temp dir. `path` is where."""

    def __init__(self, prefix: str) -> None:
        """Make it, and sweep away abandoned ones of the same prefix. Raises OSError."""
        _remove_abandoned(prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # Locked under another name first: a claim that is seen is one that is kept.
        unseen = self.path / f"{_CLAIM}.new"
        self._claim = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._claim, fcntl.LOCK_EX)
        unseen.rename(self.path / _CLAIM)

    def remove(self) -> None:
        """Remove it with everything inside. Doing so twice is harmless."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1


def _remove_abandoned(prefix: str) -> None:
    for directory in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # another user's, or kept, or just being made
            claim = os.open(directory / _CLAIM, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(claim)
