"""Outlines kept between runs: one file of lines `hash checksum outline`, replaced as a whole.

Two runs at once each write a whole file; the later wins and the other's new outlines are computed
again some day. A line that is not what was written is left out.
"""

import contextlib
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import tonnage

_MAX_BYTES = 64 * 1024 * 1024


def _header() -> str:
    """What the outlines depend on beside the content: Python's grammar, and how they are made."""
    room = Path(__file__).parent.glob("*.py")
    made_ns = max(module.stat().st_mtime_ns for module in room)
    version = ".".join(map(str, sys.version_info[:3]))
    return f"tonnage {tonnage.__version__} outlines, Python {version}, {made_ns}"


class OutlineStore:
    """The stored outlines below one cache directory."""

    def __init__(self, directory: Path) -> None:
        name = f"outlines-{sys.version_info[0]}.{sys.version_info[1]}.txt"
        self._path = directory / name
        self._header = _header()

    def load(self) -> dict[str, str]:
        """The outlines as text, by the hash of the content; empty where there are none of ours."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return {}
        lines = text.split("\n")
        return dict(_checked(lines[1:])) if lines[0] == self._header else {}

    def save(self, stored: Mapping[str, str], made: Mapping[str, str], used: Iterable[str]) -> None:
        """Keep the used outlines, then others as far as there is room. Failing is no failure."""
        known = {**stored, **made}
        wanted = dict.fromkeys([*(one for one in used if one in known), *known])
        size = 0
        lines = [self._header]
        for content_hash in wanted:
            text = known[content_hash]
            size += len(text)
            if size > _MAX_BYTES:
                break
            lines.append(f"{content_hash} {zlib.crc32(text.encode()):08x} {text}")
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text("\n".join(lines), encoding="utf-8")
            unfinished.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()


def _checked(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        content_hash, _, rest = line.partition(" ")
        checksum, _, text = rest.partition(" ")
        if checksum == f"{zlib.crc32(text.encode()):08x}":
            yield content_hash, text
