"""The live view: GPUs as bars, running tests, counts and the predicted end.

`render` is a pure function of the progress; `LiveView` puts it on a terminal from the run's own
thread, at a bounded rate.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tonnage.clock import Clock
from tonnage.record.events import Event
from tonnage.record.outcomes import Outcome
from tonnage.report.progress import GpuProgress, Progress, RunningAttempt
from tonnage.units import format_duration, gib_from_mib

_REFRESH_S = 0.1
_NARROWEST = 20
# With fewer columns than this, a bar has its two main figures and a test its name and time.
_WIDE = 64


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of a bar: foreign memory, used, reserved but unused, free."""

    foreign: str
    used: str
    reserved: str
    free: str
    ellipsis: str


UNICODE = Glyphs("▓", "█", "▒", "·", "…")
ASCII = Glyphs("x", "#", "=", ".", "~")


def render(
    progress: Progress, now_s: float, width: int, height: int, encoding: str = "utf-8"
) -> RenderableType:
    """The view at `now_s` seconds into the run, within `width` columns and `height` lines.

    Everything in it can be written in `encoding`.
    """
    glyphs = UNICODE if encoding.startswith("utf") else ASCII
    width = max(width, _NARROWEST)
    status = _status_lines(progress, now_s)
    room = max(0, height - len(status))
    gpu_room = min(len(progress.gpus), max(1, room // 2)) if room else 0
    gpus = _bounded(list(_gpu_lines(progress, width, glyphs)), gpu_room, "GPUs")
    running = sorted(progress.running.values(), key=lambda each: (each.started_s, each.node_id))
    tests = _bounded(
        [_test_line(progress, each, now_s, width, glyphs) for each in running],
        room - len(gpus),
        "running",
    )
    lines = [encodable(line, encoding) for line in [*gpus, *tests, *status][: max(0, height)]]
    for line in lines:
        line.truncate(width)
        line.no_wrap = True
    return Group(*lines)


def _gpu_lines(progress: Progress, width: int, glyphs: Glyphs) -> Iterator[Text]:
    labels = max((len(each.gpu.label) for each in progress.gpus.values()), default=0)
    for each in progress.gpus.values():
        used = "?" if each.used_mib is None else f"{gib_from_mib(each.used_mib):.1f}"
        reserved_gib = gib_from_mib(each.reserved_mib)
        capacity_gib = gib_from_mib(each.gpu.capacity_mib)
        figures = (
            f" {used:>5} used {reserved_gib:>5.1f} reserved {capacity_gib:>5.1f} GiB"
            if width >= _WIDE
            else f" {used:>5} of {capacity_gib:>4.1f} GiB"
        )
        cells = max(4, width - labels - 1 - len(figures))
        yield Text(f"{each.gpu.label:<{labels}} ") + _bar(each, cells, glyphs) + Text(figures)


def _bar(gpu: GpuProgress, cells: int, glyphs: Glyphs) -> Text:
    """Foreign, own, reserved-but-unused and free memory, each boundary rounded once."""
    used_mib = max(gpu.used_mib or 0, gpu.foreign_mib)
    reach_mib = max(used_mib, gpu.foreign_mib + gpu.reserved_mib)
    capacity = max(1, gpu.gpu.capacity_mib)
    foreign, used, reach = (
        min(cells, round(cells * mib / capacity)) for mib in (gpu.foreign_mib, used_mib, reach_mib)
    )
    return Text.assemble(
        (glyphs.foreign * foreign, "magenta"),
        (glyphs.used * (used - foreign), "green"),
        (glyphs.reserved * (reach - used), "yellow"),
        (glyphs.free * (cells - reach), "dim"),
    )


def _test_line(
    progress: Progress, test: RunningAttempt, now_s: float, width: int, glyphs: Glyphs
) -> Text:
    labels = [progress.gpus[uuid].gpu.label for uuid in test.gpus if uuid in progress.gpus]
    where = labels[0] if len(labels) == 1 else f"{len(labels)} GPUs" if labels else "CPU"
    vram = f"{gib_from_mib(test.reserved_mib):.1f} GiB" if test.gpus else ""
    time = format_duration(max(0.0, now_s - test.started_s))
    again = f"(attempt {test.attempt}) " if test.attempt > 1 else ""
    if width >= _WIDE:
        limit = "" if test.timeout_s is None else f"/{format_duration(test.timeout_s)}"
        prefix = f"  {where:<7} {vram:>9} {time + limit:>15}  {again}"
    else:
        prefix = f"{where:<6} {time:>6}  {again}"
    return Text(prefix) + Text(shorten(test.node_id, max(8, width - len(prefix)), glyphs.ellipsis))


def _status_lines(progress: Progress, now_s: float) -> list[Text]:
    passed = progress.counts[Outcome.PASSED]
    failed = progress.failed
    other = sum(progress.counts.values()) - passed - failed
    counts = [
        (f"{passed} passed", "green"),
        (f"{failed} failed", "bold red" if failed else ""),
    ]
    if other:
        counts.append((f"{other} other", ""))
    if progress.retries:
        counts.append((f"{progress.retries} tried again", "yellow"))
    counts += [(f"{len(progress.running)} running", ""), (f"{progress.queued} queued", "")]
    line = Text(", ").join(Text(text, style) for text, style in counts)
    times = f"{format_duration(now_s)} so far"
    if progress.predicted_end_s is not None:
        left_s = max(0.0, progress.predicted_end_s - now_s)
        times += f", about {format_duration(left_s)} to go"
    return [line, Text(times)]


def _bounded(lines: list[Text], room: int, noun: str) -> list[Text]:
    if len(lines) <= room:
        return lines
    if room <= 0:
        return []
    shown = lines[: room - 1]
    return [*shown, Text(f"  ... and {len(lines) - len(shown)} more {noun}", "dim")]


def shorten(node_id: str, width: int, ellipsis: str = "…") -> str:
    """A node id in at most `width` characters: the middle goes first, the test's name last."""
    if len(node_id) <= width:
        return node_id
    name = node_id.rpartition("::")[2]
    tail = min(len(name) + 2, width - 1)
    head = width - tail - len(ellipsis)
    if head <= 0:
        return ellipsis + node_id[len(node_id) - (width - len(ellipsis)) :]
    return node_id[:head] + ellipsis + node_id[len(node_id) - tail :]


def encodable(text: Text, encoding: str) -> Text:
    """The text, without its colours and with escapes where `encoding` lacks a character."""
    escaped = text.plain.encode(encoding, "backslashreplace").decode(encoding)
    return text if escaped == text.plain else Text(escaped)


class LiveView:
    """Draws on a terminal that can redraw; does nothing on one that cannot."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._progress = Progress()
        self._zero_s: float | None = None
        self._drawn_s: float | None = None
        self._live: Live | None = None

    @property
    def is_drawing(self) -> bool:
        """Whether the view is on the terminal."""
        return self._live is not None

    def start(self) -> None:
        """Begin to draw. Whoever calls this calls `stop` in a finally."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            return
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def feed(self, event: Event) -> None:
        """Take the next event in; the screen follows at the next `tick`."""
        # Every event tells us the run began no later than this; the earliest is nearest.
        zero_s = self._clock.monotonic_s() - event.at_s
        self._zero_s = zero_s if self._zero_s is None else min(self._zero_s, zero_s)
        self._progress.feed(event)

    def tick(self) -> None:
        """Redraw, unless that has just been done."""
        now_s = self._clock.monotonic_s()
        if self._drawn_s is None or now_s - self._drawn_s >= _REFRESH_S:
            self.refresh()

    def refresh(self) -> None:
        """Redraw now, in the terminal's present size."""
        if self._live is None:
            return
        now_s = self._clock.monotonic_s()
        self._drawn_s = now_s
        # The last line stays free: a terminal scrolls when it is written to.
        width, height = self._console.size
        since_s = now_s - (self._zero_s if self._zero_s is not None else now_s)
        encoding = self._console.encoding
        self._live.update(
            render(self._progress, since_s, width, height - 1, encoding), refresh=True
        )

    def print_above(self, text: str | Text) -> None:
        """Print lines that stay, above the view."""
        line = encodable(Text(text) if isinstance(text, str) else text, self._console.encoding)
        self._console.print(line, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the view away and give the terminal back, whatever happens. Twice is harmless."""
        live, self._live = self._live, None
        if live is None:
            return
        try:
            live.stop()
        finally:
            self._console.show_cursor(True)
