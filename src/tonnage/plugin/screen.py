"""Joining pytest's terminal output with the live view: one writes above, one redraws below."""

import os
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from tonnage.clock import Clock
from tonnage.execute import pytest_internals
from tonnage.plugin.early import shows_output
from tonnage.plugin.keys import Keys
from tonnage.record import events
from tonnage.units import format_duration

_STATUS_KEY = "t"

if TYPE_CHECKING:  # rich is imported where there is a terminal to draw on
    from tonnage.report.live import LiveView


class Screen:
    """The live view on a terminal that can redraw; nothing elsewhere.

    While it draws, whole lines that pytest writes go above the view. The letters of a quiet run
    would be neither lines nor news beside the view's counts, so they are left out and failures
    are named as they come.
    """

    def __init__(self, config: pytest.Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._reporter = pytest_internals.terminal(config)
        self._view: LiveView | None = None
        self._keys: Keys | None = None
        self._file: Any = None

    def start(self, so_far: Sequence[events.Event]) -> None:
        """Begin to draw, with what has happened so far."""
        reporter = self._reporter
        if reporter is None or not reporter.isatty or shows_output(self._config.option):
            return
        from rich.console import Console

        from tonnage.report.live import LiveView

        self._file = pytest_internals.terminal_file(reporter)
        view = LiveView(Console(file=self._file), self._clock)
        view.start()
        if not view.is_drawing:
            return
        self._view = view
        self._keys = Keys.of_terminal()
        for event in so_far:
            view.feed(event)
        pytest_internals.redirect_terminal(reporter, _Above(view))
        self._config.pluginmanager.register(self, "tonnage-screen")

    def feed(self, event: events.Event) -> None:
        """Something happened."""
        if isinstance(event, events.AttemptSlow):
            self.say([f"slow: {event.node_id} still runs after {format_duration(event.elapsed_s)}"])
        if self._view is None:
            return
        self._view.feed(event)
        is_named_by_pytest = self._config.option.verbose > 0
        if isinstance(event, events.AttemptFinished) and event.outcome.is_failure:
            if not is_named_by_pytest:
                what = event.outcome.value.upper().replace("_", " ")
                self._view.print_above(f"{what} {event.node_id} - {event.reason}")
        elif isinstance(event, events.Noticed):
            self.say([event.message])

    def say(self, lines: Sequence[str]) -> None:
        """Show these lines now, between whatever else is shown."""
        if self._view is not None:
            for line in lines:
                self._view.print_above(f"tonnage: {line}")
        elif self._reporter is not None:
            self._reporter.ensure_newline()
            for line in lines:
                self._reporter.write_line(f"tonnage: {line}")

    def was_asked(self) -> bool:
        """Whether the key that asks for the run's status was pressed since the last call."""
        return self._keys is not None and _STATUS_KEY in self._keys.pressed()

    def tick(self) -> None:
        """A moment to redraw."""
        if self._view is not None:
            self._view.tick()

    def hang_up(self) -> None:
        """Have what is written to a terminal that was closed go nowhere, instead of failing."""
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        for fd in (1, 2, *pytest_internals.saved_by_capture(self._config)):
            try:
                os.write(fd, b"")
            except OSError:
                os.dup2(nowhere, fd)
        os.close(nowhere)

    def stop(self) -> None:
        """Give the terminal back to pytest."""
        view, self._view = self._view, None
        if view is None:
            return
        if self._keys is not None:
            self._keys.release()
        assert self._reporter is not None
        self._config.pluginmanager.unregister(self)
        try:
            view.stop()
        finally:
            pytest_internals.redirect_terminal(self._reporter, self._file)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, Any]:
        """Leave out the letter of each test; its result is counted all the same."""
        status = yield
        if self._config.option.verbose > 0 or not status:
            return status
        return status[0], "", ""


class _Above:
    """A stream for pytest's writer: complete lines are printed above the view."""

    encoding = "utf-8"

    def __init__(self, view: "LiveView") -> None:
        self._view = view
        self._line = ""

    def write(self, text: str) -> int:
        from rich.text import Text

        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._view.print_above(Text.from_ansi(line))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back but an incomplete line."""

    def isatty(self) -> bool:
        return True
