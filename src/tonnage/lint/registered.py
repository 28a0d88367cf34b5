"""Markers that a suite registers in its conftest files, with `addinivalue_line("markers", ...)`."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tonnage.lint.source import SourceFile

_REGISTERS = re.compile(r"""addinivalue_line\(\s*["']markers["']\s*,\s*(?P<text>[rR]?["'])?""")
_LINE = re.compile(r"""["'](\w+)\s*(?:\([^"'\n]*\))?\s*:""")
_WORD = re.compile(r"""["'](\w+)["':( ]""")


def registered_around(files: Iterable[SourceFile]) -> frozenset[str]:
    """The markers that the conftests of these files, and those above up to the root, register.

    Lines that are computed are not followed: then any word in quotes there may be a marker.
    """
    return frozenset(
        name
        for conftest in _conftests(files)
        if (text := _text(conftest)) and "addinivalue_line" in text
        for name in _names(text)
    )


def _names(text: str) -> Iterator[str]:
    for match in _REGISTERS.finditer(text):
        if match["text"] is None:
            yield from _LINE.findall(text)
            yield from _WORD.findall(text)
            return
        yield from _WORD.findall(text, match.start("text"), match.start("text") + 80)[:1]


def _conftests(files: Iterable[SourceFile]) -> Iterator[Path]:
    seen: set[Path] = set()
    for file in files:
        root = file.file.parents[file.path.count("/")] if "/" in file.path else file.file.parent
        for directory in file.file.parents:
            if directory in seen:
                break
            seen.add(directory)
            yield directory / "conftest.py"
            if directory == root:
                break


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
