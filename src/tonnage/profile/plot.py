"""VRAM over time as a picture: a row for each probe, with its phases and its cap.

SVG and PNG are drawn by matplotlib (the extra `plots`); HTML is the SVG in a page of its own.
"""

import html
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage.errors import OptionError, TonnageError
from tonnage.profile.model import PhaseName, ProbeResult, SearchResult
from tonnage.units import MIB_PER_GIB, format_gib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FORMATS = (".svg", ".png", ".html")
_COLOURS = {
    PhaseName.BASELINE: "#d9d9d9",
    PhaseName.LOAD: "#9ecae1",
    PhaseName.CACHE: "#fdd0a2",
    PhaseName.STEADY: "#c7e9c0",
    PhaseName.TEARDOWN: "#dadaeb",
}
_ROW_INCHES = 2.2
_WIDTH_INCHES = 10.0


class PlotterMissingError(TonnageError):
    """matplotlib is not installed."""


def check_plot(file: Path) -> None:
    """Raise, before anything is measured, when a plot could not be drawn into this file."""
    if file.suffix.lower() not in _FORMATS:
        raise OptionError(
            f"{file.name} is no picture that can be drawn",
            where="--plot",
            remedy=f"Give a file that ends in {', '.join(_FORMATS)}.",
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotterMissingError(
            "a plot needs matplotlib, which is not installed",
            where="--plot",
            remedy='Install it with: pip install "tonnage[plots]"',
        )


def plot(title: str, result: SearchResult, suffix: str) -> bytes:
    """The picture of a search as the content of a file with this suffix."""
    probes = [probe for probe in result.probes if probe.samples]
    if suffix.lower() == ".html":
        svg = _draw(title, probes, "svg").decode()
        # A page cannot hold the declaration that begins an SVG file.
        return _page(title, svg[svg.index("<svg") :]).encode()
    return _draw(title, probes, suffix.lower().removeprefix("."))


def _draw(title: str, probes: list[ProbeResult], kind: str) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, 1.0 + _ROW_INCHES * max(1, len(probes))))
    axes = figure.subplots(max(1, len(probes)), 1, squeeze=False)[:, 0]
    for number, (probe, axis) in enumerate(zip(probes, axes, strict=False), 1):
        _draw_probe(number, probe, axis)
    axes[-1].set_xlabel("seconds since the baseline began")
    # A node id is text, whatever dollar signs it holds.
    figure.suptitle(title, parse_math=False)
    figure.tight_layout()
    file = io.BytesIO()
    # The same profile gives the same file: no date, and names made from nothing random.
    same: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
    with rc_context({"svg.hashsalt": "tonnage", "svg.fonttype": "none"}):
        figure.savefig(file, format=kind, **same)
    return file.getvalue()


def _draw_probe(number: int, probe: ProbeResult, axis: "Axes") -> None:
    for phase in probe.phases:
        axis.axvspan(phase.start_s, phase.end_s, color=_COLOURS[phase.name], alpha=0.6, lw=0)
        middle = (phase.start_s + phase.end_s) / 2
        axis.text(
            middle,
            0.98,
            phase.name.value,
            transform=axis.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=7,
        )
    times = [sample.at_s for sample in probe.samples]
    for gpu in sorted({gpu for sample in probe.samples for gpu in sample.used_mib}):
        used = [_gib(sample.used_mib.get(gpu)) for sample in probe.samples]
        own = [_gib(sample.own_mib.get(gpu)) for sample in probe.samples]
        axis.step(times, used, where="post", color="#999999", lw=0.8, label=f"{gpu}: everyone")
        axis.step(times, own, where="post", lw=1.4, label=f"{gpu}: the test")
    peak = "" if probe.highest_mib is None else f", peak {format_gib(probe.highest_mib)}"
    words = probe.outcome.value.replace("_", " ")
    axis.set_title(f"probe {number}: {probe.cap.text()}, {words}{peak}", fontsize=9, loc="left")
    axis.set_ylabel("GiB")
    axis.set_ylim(bottom=0)
    axis.margins(x=0)
    axis.legend(fontsize=6, loc="center left")


def _gib(mib: int | None) -> float:
    return float("nan") if mib is None else mib / MIB_PER_GIB


def _page(title: str, svg: str) -> str:
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        "<style>body{margin:1rem;font-family:sans-serif}svg{max-width:100%;height:auto}</style>\n"
        f"</head><body>\n{svg}\n</body></html>\n"
    )
