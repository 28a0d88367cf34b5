"""Globs over the paths of files, from the root: `**` is any number of folders, `{a,b}` either."""

import re
from collections.abc import Iterable
from functools import lru_cache

_PART = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\{[^}]*\}|.", re.DOTALL)
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matches(path: str, globs: Iterable[str]) -> bool:
    """Whether one of the globs is that of this path; both are written with `/`."""
    return any(pattern(glob).fullmatch(path) for glob in globs)


@lru_cache(maxsize=1024)
def pattern(glob: str) -> re.Pattern[str]:
    """The glob as a regular expression for a whole path."""
    return re.compile(_expression(glob), re.DOTALL)


def _expression(glob: str) -> str:
    return "".join(map(_translated, _PART.findall(glob)))


def _translated(part: str) -> str:
    if part in _MEANING:
        return _MEANING[part]
    if len(part) > 1 and part[0] == "{":
        return f"(?:{'|'.join(map(_expression, part[1:-1].split(',')))})"
    if len(part) > 1 and part[0] == "[":
        inside = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^{inside[1:]}]" if inside[0] == "!" else f"[{inside}]"
    return re.escape(part)
