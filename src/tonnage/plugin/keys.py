"""Single keys pressed on the terminal while tests run, without waiting and without an Enter."""

import os
import select
import termios
import tty
from typing import Any, TextIO


class Keys:
    """Reads keys from a terminal until `release`, which leaves the terminal as it was.

    Ctrl-C and kin go on being signals.
    """

    def __init__(self, fd: int, before: list[Any]) -> None:
        self._fd = fd
        self._before = before

    @classmethod
    def of(cls, stream: TextIO | None) -> "Keys | None":
        """The keys of this stream; None when it is no terminal, or one that others read.

        A process in the background must not touch the terminal: it would be stopped.
        """
        try:
            fd = -1 if stream is None else stream.fileno()
            if fd < 0 or os.tcgetpgrp(fd) != os.getpgrp():
                return None
            before = termios.tcgetattr(fd)
            tty.setcbreak(fd)
        except (OSError, ValueError, termios.error):
            return None
        return cls(fd, before)

    def pressed(self) -> str:
        """What was pressed since the last call."""
        try:
            if os.tcgetpgrp(self._fd) != os.getpgrp():
                return ""
            if not select.select([self._fd], [], [], 0)[0]:
                return ""
            return os.read(self._fd, 64).decode(errors="replace")
        except OSError:
            return ""  # the terminal is gone

    def release(self) -> None:
        """Leave the terminal as it was."""
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        except (OSError, termios.error):
            return
