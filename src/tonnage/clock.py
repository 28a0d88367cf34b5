"""The one place time is read, with its fake beside it."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the rest of Tonnage knows of time."""

    def monotonic_s(self) -> float:
        """Seconds that never go backwards; only differences mean anything."""

    def wall_s(self) -> float:
        """Seconds since the epoch; may jump."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        """Seconds from the monotonic clock, unaffected by clock changes."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since the epoch from the wall clock."""
        return time.time()


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def monotonic_s(self) -> float:
        """The time last set."""
        return self.now_s

    def wall_s(self) -> float:
        """The time last set."""
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        self.now_s += seconds
