"""Single keys pressed on the terminal while tests run, without waiting and without an Enter."""

import os
import select
import termios
import tty
from typing import Any


class Keys:
    """Reads keys from a terminal until `release`, which leaves the terminal as it was.

    Ctrl-C and kin go on being signals.
    """

    def __init__(self, fd: int, before: list[Any]) -> None:
        self._fd = fd
        self._before = before

    @classmethod
    def of_terminal(cls) -> "Keys | None":
        """The keys of the controlling terminal; None without one, or when others read it.

        Not those of stdin, which pytest's capture has replaced. A process in the background must
        not touch the terminal: it would be stopped.
        """
        try:
            fd = os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if os.tcgetpgrp(fd) == os.getpgrp():
                before = termios.tcgetattr(fd)
                tty.setcbreak(fd)
                return cls(fd, before)
        except (OSError, termios.error):
            pass  # a terminal that cannot be set: there are no keys then
        os.close(fd)
        return None

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
            pass  # the terminal is gone
        finally:
            os.close(self._fd)
