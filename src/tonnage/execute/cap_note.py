"""What to say of an out-of-memory failure under a cap: the declaration, the cap and the use."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tonnage.execute.caps import CAP_MIB, MODE
from tonnage.execute.settled import SETTLED
from tonnage.markers.marks import MarkValue
from tonnage.markers.vocabulary import Vocabulary
from tonnage.units import format_gib, mib_from_bytes

SECTION = "Memory cap"

# How frameworks put what could not be had: torch and simulated cards (binary units), CuPy and
# JAX (bytes).
_ASKED = re.compile(r"[Aa]llocat\w*\D{0,12}?([\d,.]+) ?([KMG]iB|[KMG]B|bytes)")
_UNITS = {"K": 1 / 1024, "M": 1.0, "G": 1024.0}


def note_cap(item: pytest.Item, report: Any, message: str) -> None:
    """Add the note to the report of an item that failed with `message`, if a cap was in force."""
    settled = item.config.stash.get(SETTLED, None)
    if settled is None:
        return
    marks = [MarkValue(mark.name, mark.args, mark.kwargs) for mark in item.iter_markers()]
    note = cap_note(os.environ, marks, settled.vocabulary, message)
    if note is None:
        return
    if hasattr(report.longrepr, "addsection"):
        report.longrepr.addsection(SECTION, note)
    else:
        report.longrepr = f"{report.longrepr}\n{SECTION}: {note}"


def is_held_to_cap(environ: Mapping[str, str], message: str) -> bool:
    """Whether it was the cap that an allocation met, and not a card that others had filled.

    Frameworks may ignore the cooperative variables; a simulated card says that it did not.
    """
    return environ.get(MODE) in ("torch", "mps") or (
        CAP_MIB in environ and "is limited to" in message
    )


def cap_note(
    environ: Mapping[str, str],
    marks: Sequence[MarkValue],
    vocabulary: Vocabulary,
    message: str,
) -> str | None:
    """The line to add to a test's out-of-memory failure; None when no cap was in force.

    `marks`: the test's, closest first. `message` is what was raised.
    """
    if not environ.get(CAP_MIB, "").isdigit():
        return None
    cap_mib = int(environ[CAP_MIB])
    text = (
        f"declared {_declaration(marks, vocabulary)}, capped at {format_gib(cap_mib)} "
        f"per GPU (--vram-caps {environ.get(MODE, '')})"
    )
    used = _use(message)
    return (
        f"{text}; it asked for more: {used}" if used else f"{text}; it asked for more than it got"
    )


def _declaration(marks: Sequence[MarkValue], vocabulary: Vocabulary) -> str:
    """The mark that set the cap, as written: a declared figure goes before a measured one."""
    for meaning in ("max_vram_gib", "needs", "profiled_vram_gib"):
        for mark in marks:
            marker = vocabulary.get(mark.name)
            if marker is None or marker.meaning != meaning:
                continue
            if meaning != "needs":
                value = mark.args[0] if mark.args else mark.kwargs.get("gib")
                return f"{mark.name}({value})"
            if "vram_gib" in mark.kwargs:
                return f"{mark.name}(vram_gib={mark.kwargs['vram_gib']})"
    return "as before"


def _use(message: str) -> str:
    parts = []
    if asked := _ASKED.search(message):
        parts.append(f"{_gib(asked[1], asked[2])} in one allocation")
    peak_mib = _torch_peak_mib(sys.modules.get("torch"))
    if peak_mib is not None:
        parts.append(f"with {format_gib(peak_mib)} reserved by torch")
    return " ".join(parts)


def _gib(number: str, unit: str) -> str:
    amount = float(number.replace(",", "").rstrip("."))
    mib = amount / (1024 * 1024) if unit == "bytes" else amount * _UNITS[unit[0]]
    return f"{mib / 1024:.2f} GiB" if mib >= 1024 else f"{mib:.2f} MiB"


def _torch_peak_mib(torch: Any) -> int | None:
    """The most that torch reserved on any GPU, from its own counters; None when it used none."""
    cuda = getattr(torch, "cuda", None)
    try:
        if cuda is None or not cuda.is_initialized():
            return None
        devices = range(cuda.device_count())
        return mib_from_bytes(max(cuda.max_memory_reserved(device) for device in devices))
    except Exception:
        return None  # a device that is out of order: the failure itself is what counts
