"""The live view at one moment as an SVG, for a page."""

import io
from collections.abc import Iterable

from rich.console import Console

from tonnage.record.events import Event
from tonnage.report.live import render
from tonnage.report.progress import Progress


def live_svg(
    events: Iterable[Event], at_s: float, width: int = 100, height: int = 24, title: str = "tonnage"
) -> str:
    """What the live view showed `at_s` seconds into the run, as the text of an SVG file."""
    progress = Progress()
    for event in events:
        if event.at_s > at_s:
            break
        progress.feed(event)
    console = Console(
        record=True,
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(render(progress, at_s, width, height))
    return console.export_svg(title=title)
