"""Joining pytest's terminal output with the live view: one writes above, the other redraws below."""

from collections.abc import Sequence
from typing import Any

import pytest

from tonnage.clock import Clock
from tonnage.record import events


class Screen:
    """The live view, on a terminal; nothing elsewhere."""

    def __init__(self, config: pytest.Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    def start(self, so_far: Sequence[events.Event]) -> None:
        """Begin to draw, with what has happened so far."""

    def feed(self, event: events.Event) -> None:
        """Something happened."""

    def tick(self) -> None:
        """A moment to redraw."""

    def stop(self) -> None:
        """Give the terminal back."""


_ = Any
