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
    capacities = {gpu.uuid: gpu.capacity_mib for gpu in cards}
    names = {gpu.uuid: f"GPU {gpu.index}" for gpu in cards}
    if suffix.lower() == ".html":
        svg = _draw(title, probes, "svg", names, capacities).decode()
        # A page cannot hold the declaration that begins an SVG file.
        return _page(title, svg[svg.index("<svg") :]).encode()
    return _draw(title, probes, suffix.lower().removeprefix("."), names, capacities)


def _draw(
    title: str,
    probes: Mapping[int, ProbeResult],
    kind: str,
    names: Mapping[str, str],
    capacities: Mapping[str, int],
) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + _ROW_INCHES * max(1, len(probes))))
    axes = figure.subplots(max(1, len(probes)), 1, squeeze=False, sharey=True)[:, 0]
    highest_mib = max(map(_highest_mib, probes.values()), default=0) or MIB_PER_GIB
    for (number, probe), axis in zip(probes.items(), axes, strict=False):
        _draw_curves(probe, axis, names)
        _draw_phases(probe, axis)
        used = [capacities[gpu] for gpu in probe.peak_by_gpu if gpu in capacities]
        limit_mib = probe.cap.mib(min(used)) if used else None
        # A cap far above everything would only flatten the curves.
        if limit_mib is not None and limit_mib <= highest_mib * _HEADROOM:
            axis.axhline(_gib(limit_mib), color="#d62728", ls="--", lw=1.0, label="cap")
        peak = "" if probe.highest_mib is None else f", peak {format_gib(probe.highest_mib)}"
        words = probe.outcome.value.replace("_", " ")
        cap = probe.cap.text(min(used) if used else None)
        axis.set_title(f"probe {number}: {cap}, {words}{peak}", fontsize=9, loc="left")
        axis.set_ylabel("GiB")
        axis.margins(x=0)
    axes[0].set_ylim(0, _gib(round(highest_mib * _HEADROOM)))
    axes[-1].set_xlabel("seconds since the baseline began")
    # A node id is text, whatever dollar signs it holds.
    figure.suptitle(title, parse_math=False)
    lines = {
        label: line
        for axis in axes
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.tight_layout(rect=(0, _LEGEND_INCHES / figure.get_figheight(), 1, 1))
    figure.legend(lines.values(), lines, loc="lower center", ncols=8, fontsize=7, frameon=False)
    file = io.BytesIO()
    # The same profile gives the same file: no date, and names made from nothing random.
    same: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
    with rc_context({"svg.hashsalt": "tonnage", "svg.fonttype": "none"}):
        figure.savefig(file, format=kind, **same)
    return file.getvalue()


def _highest_mib(probe: ProbeResult) -> int:
    """The highest use on any card, by anyone."""
    return max(
        (mib for sample in probe.samples for mib in sample.used_mib.values() if mib is not None),
        default=0,
    )


def _draw_curves(probe: ProbeResult, axis: "Axes", names: Mapping[str, str]) -> None:
    times = [sample.at_s for sample in probe.samples]
    for place, gpu in enumerate(sorted({gpu for each in probe.samples for gpu in each.used_mib})):
        name = names.get(gpu, gpu)
        used = [_gib(sample.used_mib.get(gpu)) for sample in probe.samples]
        own = [_gib(sample.own_mib.get(gpu)) for sample in probe.samples]
        colour = f"C{place}"
        axis.step(times, used, where="post", color="#888888", lw=0.8, label="everyone on the card")
        axis.step(times, own, where="post", color=colour, lw=1.4, label=f"the test on {name}")


def _draw_phases(probe: ProbeResult, axis: "Axes") -> None:
    for phase in probe.phases:
        colour, name = _COLOURS[phase.name], phase.name.value
        axis.axvspan(phase.start_s, phase.end_s, color=colour, alpha=0.6, lw=0, label=name)


def _gib(mib: int | None) -> float:
    return float("nan") if mib is None else mib / MIB_PER_GIB


def _page(title: str, svg: str) -> str:
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        "<style>body{margin:1rem;font-family:sans-serif}svg{max-width:100%;height:auto}</style>\n"
        f"</head><body>\n{svg}\n</body></html>\n"
    )
