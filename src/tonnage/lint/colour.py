"""Colour for a terminal, or none."""

from collections.abc import Callable

from tonnage.lint.model import Severity

Paint = Callable[[str, str], str]
"""Gives a text, second, in a style: one of `bold`, `dim`, or a severity."""

_CODES = {
    "bold": "1",
    "dim": "2",
    Severity.ERROR.value: "1;31",
    Severity.WARNING.value: "1;33",
    Severity.INFO.value: "1;36",
}


def plain(style: str, text: str) -> str:
    """The text as it is."""
    return text


def coloured(style: str, text: str) -> str:
    """The text with the escape sequences of its style around it."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"
