"""Signals to a run: caught while it lasts, handed over in its own loop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STATUS_SIGNAL = signal.SIGUSR1


class Signals:
    """Signals that arrived and were not dealt with yet. `wake_fd` is written to for each."""

    def __init__(self, wake_fd: int) -> None:
        self._wake_fd = wake_fd
        self._arrived: list[int] = []

    @property
    def wants_to_stop(self) -> bool:
        """Whether one that ends the run waits to be dealt with."""
        return any(number in STOP_SIGNALS for number in self._arrived)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch them while the block runs; those that are ignored, as under nohup, stay so."""

        def arrived(number: int, _: Any) -> None:
            self._arrived.append(number)
            os.write(self._wake_fd, b"s")

        before = {}
        for number in (*STOP_SIGNALS, STATUS_SIGNAL):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, arrived)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def taken(self) -> list[int]:
        """Those that arrived since the last call, in order."""
        arrived, self._arrived = self._arrived, []
        return arrived
