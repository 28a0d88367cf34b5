"""What a test printed: kept short enough to travel, and read back when its process crashed."""

from pathlib import Path
from typing import Any

# A report carries what its test printed. Beyond this many characters a section keeps its two
# ends: nobody reads the middle of 100 MB, and every copy of it would have to fit in memory.
SECTION_LIMIT = 4 * 1024 * 1024
_KEPT_END = 1024 * 1024
_TAIL_BYTES = 8 * 1024
_STACKS_BYTES = 64 * 1024


def shortened(text: str) -> str:
    """`text`, or its first and last part around a line that says how much is left out."""
    if len(text) <= SECTION_LIMIT:
        return text
    omitted = len(text) - 2 * _KEPT_END
    return (
        f"{text[:_KEPT_END]}\n[... {omitted} characters of output left out here ...]\n"
        f"{text[-_KEPT_END:]}"
    )


def shorten_sections(report: dict[str, Any]) -> dict[str, Any]:
    """A serialised report whose captured sections are short enough to travel."""
    sections = report.get("sections")
    if sections and any(len(text) > SECTION_LIMIT for _, text in sections):
        report["sections"] = [(title, shortened(text)) for title, text in sections]
    return report


def tail(path: Path, limit_bytes: int = _TAIL_BYTES) -> str:
    """The last lines of a file, decoded leniently; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit_bytes))
            data = file.read()
    except OSError:
        return ""
    if size > limit_bytes:
        data = data.partition(b"\n")[2] or data
    return data.decode(errors="replace").strip("\n")


def without_our_frames(text: str) -> str:
    """`text` with each stack that faulthandler wrote cut off where pytest called the test."""
    kept: list[str] = []
    is_below = False
    for line in text.splitlines():
        if not line.startswith("  "):
            is_below = False
        elif "/_pytest/" in line and not is_below:
            is_below = True
            kept.append("  ... called by pytest")
        if not is_below:
            kept.append(line)
    return "\n".join(kept)


def stacks(path: Path) -> str:
    """What faulthandler wrote into a file, each stack down to where pytest called the test."""
    return without_our_frames(tail(path, _STACKS_BYTES))
