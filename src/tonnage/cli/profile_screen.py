"""What `tonnage profile` prints: a line for everything that happens, and a status on a terminal."""

from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text

from tonnage.devices.open import Devices
from tonnage.profile.findings import Profiled, telling_probe
from tonnage.profile.model import ProbeStarted, SearchResult
from tonnage.profile.selection import Selection
from tonnage.profile.session import Asked
from tonnage.profile.several import Began, Progressed, Told
from tonnage.profile.text import (
    card_line,
    event_line,
    marker_lines,
    probe_lines,
    result_lines,
    section,
    table_lines,
)
from tonnage.units import plural

_STYLES = {"[PASS]": "green", "[FAIL]": "red", "WARNING": "yellow"}


class Screen:
    """Use it as a context while tests are profiled: then a terminal shows what runs now."""

    def __init__(self, file: TextIO) -> None:
        self._console = Console(file=file, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._running: dict[str, str] = {}
        self._capacity_mib: dict[str, int] = {}
        self._smallest_mib = 0
        self._is_several = False

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._status = self._console.status("profiling")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, line: str) -> None:
        """Print a line; the first word of a known kind has a colour where there are colours."""
        style = next((style for word, style in _STYLES.items() if word in line[:40]), None)
        self._console.print(line, style=style, markup=False)

    def begin(self, devices: Devices, selection: Selection, warnings: Sequence[str]) -> None:
        """What is measured on what."""
        self.say(devices.note)
        for gpu in devices.gpus:
            backend = devices.backend
            used_mib = None if backend is None else backend.read_used_mib(gpu.uuid)
            self.say(card_line(gpu, used_mib))
        self.say(f"profiling {plural(len(selection.tests), 'test')}")
        self._is_several = len(selection.tests) > 1
        self._smallest_mib = min(gpu.capacity_mib for gpu in devices.gpus)
        for node_id in selection.skipped:
            self.say(f"skipped by a mark: {node_id}")
        for warning in warnings:
            self.say(f"WARNING: {warning}")

    def tell(self, told: Told) -> None:
        """Print what happened, and show what runs now."""
        node_id = told.test.node_id
        name = f"{node_id}  " if self._is_several else ""
        if isinstance(told, Began):
            self._capacity_mib[node_id] = min(gpu.capacity_mib for gpu in told.gpus)
            cards = ", ".join(f"GPU {gpu.index}" for gpu in told.gpus)
            self.say(f"{node_id} on {cards}")
        elif isinstance(told, Progressed):
            line = event_line(told.event, self._capacity_mib[node_id])
            self.say(name + line)
            if isinstance(told.event, ProbeStarted):
                self._running[node_id] = f"{node_id.rpartition('::')[2]} {line}"
        else:
            self._running.pop(node_id, None)
            if told.error is not None:
                self.say(f"WARNING: {node_id}: {told.error}")
        if self._status is not None and self._running:
            self._status.update(Text("; ".join(self._running.values()), overflow="ellipsis"))

    def end(self, found: Sequence[Profiled], asked: Asked, command: Sequence[str]) -> None:
        """The result of each test, and a table when there are several."""
        for each in found:
            if each.result is not None:
                self._end_one(each, each.result, asked, command)
        if self._is_several:
            rows = [(each.test.node_id, each.result) for each in found]
            self._section("ALL TESTS", table_lines(rows))

    def _end_one(
        self, each: Profiled, result: SearchResult, asked: Asked, command: Sequence[str]
    ) -> None:
        name = each.test.node_id
        if (probe := telling_probe(result)) is not None:
            self._section(f"MEASURED  {name}", probe_lines(probe))
        title = "LEAST VRAM" if asked.find_least else "RESULT"
        capacity_mib = self._capacity_mib.get(name, self._smallest_mib)
        self._section(f"{title}  {name}", result_lines(result, capacity_mib))
        if each.recommendation is not None:
            lines = marker_lines(each.recommendation, command)
            self._section("MARKERS TO COPY", lines, indent=False)

    def _section(self, title: str, lines: Sequence[str], *, indent: bool = True) -> None:
        for line in section(title, lines, indent=indent):
            self.say(line)
