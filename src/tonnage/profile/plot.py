"""VRAM over time as a picture: a row for each probe, with its phases and its cap.

SVG and PNG are drawn by matplotlib (the extra `plots`); HTML is the SVG in a page of its own.
"""

import html
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage.devices.backend import DeviceGpu
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
_LEGEND_INCHES = 0.3
_HEADROOM = 1.15


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


def plot(title: str, result: SearchResult, suffix: str, cards: Sequence[DeviceGpu]) -> bytes:
    """The picture of a search on these cards, as the content of a file with this suffix."""
    # Those of an earlier command have none.
    probes = {n: probe for n, probe in enumerate(result.probes, 1) if probe.samples}
    by_uuid = {gpu.uuid: gpu for gpu in cards}
    if suffix.lower() == ".html":
        svg = _draw(title, probes, "svg", by_uuid).decode()
        # A page cannot hold the declaration that begins an SVG file.
        return _page(title, svg[svg.index("<svg") :]).encode()
    return _draw(title, probes, suffix.lower().removeprefix("."), by_uuid)


def _draw(
    title: str, probes: Mapping[int, ProbeResult], kind: str, cards: Mapping[str, DeviceGpu]
) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + _ROW_INCHES * max(1, len(probes))))
    axes = figure.subplots(max(1, len(probes)), 1, squeeze=False, sharey=True)[:, 0]
    highest_mib = max(map(_highest_mib, probes.values()), default=0) or MIB_PER_GIB
    top_mib = round(highest_mib * _HEADROOM)
    for (number, probe), axis in zip(probes.items(), axes, strict=False):
        _draw_probe(number, probe, axis, cards, top_mib)
    axes[0].set_ylim(0, _gib(top_mib))
    axes[-1].set_xlabel("seconds since the baseline began")
    # A node id is text, whatever dollar signs it holds.
    figure.suptitle(title, parse_math=False)
    figure.tight_layout(rect=(0, _LEGEND_INCHES / figure.get_figheight(), 1, 1))
    drawn = (zip(*axis.get_legend_handles_labels(), strict=True) for axis in axes)
    lines = {label: line for row in drawn for line, label in row}
    figure.legend(lines.values(), lines, loc="lower center", ncols=8, fontsize=7, frameon=False)
    file = io.BytesIO()
    # The same profile gives the same file: no date, and names made from nothing random.
    same: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
    with rc_context({"svg.hashsalt": "tonnage", "svg.fonttype": "none"}):
        figure.savefig(file, format=kind, **same)
    return file.getvalue()


def _draw_probe(
    number: int, probe: ProbeResult, axis: "Axes", cards: Mapping[str, DeviceGpu], top_mib: int
) -> None:
    """A row: curves, phases, and the cap where it is no higher than the row."""
    times = [sample.at_s for sample in probe.samples]
    for place, uuid in enumerate(sorted({gpu for each in probe.samples for gpu in each.used_mib})):
        name = f"GPU {cards[uuid].index}" if uuid in cards else uuid
        used = [_gib(sample.used_mib.get(uuid)) for sample in probe.samples]
        own = [_gib(sample.own_mib.get(uuid)) for sample in probe.samples]
        colour = f"C{place}"
        axis.step(times, used, where="post", color="#888888", lw=0.8, label="everyone on the card")
        axis.step(times, own, where="post", color=colour, lw=1.4, label=f"the test on {name}")
    for phase in probe.phases:
        colour, label = _COLOURS[phase.name], phase.name.value
        axis.axvspan(phase.start_s, phase.end_s, color=colour, alpha=0.6, lw=0, label=label)
    sizes = [cards[uuid].capacity_mib for uuid in probe.peak_by_gpu if uuid in cards]
    smallest_mib = min(sizes, default=None)
    limit_mib = None if smallest_mib is None else probe.cap.mib(smallest_mib)
    if limit_mib is not None and limit_mib <= top_mib:
        axis.axhline(_gib(limit_mib), color="#d62728", ls="--", lw=1.0, label="cap")
    peak = "" if probe.highest_mib is None else f", peak {format_gib(probe.highest_mib)}"
    words = f"{probe.cap.text(smallest_mib)}, {probe.outcome.value.replace('_', ' ')}{peak}"
    axis.set_title(f"probe {number}: {words}", fontsize=9, loc="left")
    axis.set_ylabel("GiB")
    axis.margins(x=0)


def _highest_mib(probe: ProbeResult) -> int:
    """The highest use on any card, by anyone."""
    return max(
        (mib for sample in probe.samples for mib in sample.used_mib.values() if mib is not None),
        default=0,
    )


def _gib(mib: int | None) -> float:
    return float("nan") if mib is None else mib / MIB_PER_GIB


def _page(title: str, svg: str) -> str:
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        "<style>body{margin:1rem;font-family:sans-serif}svg{max-width:100%;height:auto}</style>\n"
        f"</head><body>\n{svg}\n</body></html>\n"
    )
