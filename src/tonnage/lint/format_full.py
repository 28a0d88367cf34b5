"""Each finding with the lines of source that it is about, a caret below, and what to do."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from tonnage.lint.colour import Paint, plain
from tonnage.lint.format_concise import closing, headline
from tonnage.lint.model import Finding, Place
from tonnage.lint.result import LintResult

_WIDTH = 120  # characters of a line that are shown
_BEFORE = 40  # of them before the place, in a line that is longer

Lines = Callable[[str], Sequence[str]]
"""The lines of the file at a path; none where it cannot be read."""


def full(result: LintResult, lines_of: Lines, paint: Paint = plain) -> str:
    """The findings with their excerpts, and the summary."""
    read = lru_cache(maxsize=1)(lines_of)  # the findings come by file
    parts = [_part(finding, read(finding.place.path), paint) for finding in result.findings]
    return "\n".join([*parts, *closing(result, paint)]) + "\n"


def _part(finding: Finding, lines: Sequence[str], paint: Paint) -> str:
    text = headline(finding, paint)
    if excerpt := _excerpt(finding.place, lines):
        gutter = len(str(finding.place.line))
        source, caret = excerpt
        text += (
            f"\n{paint('dim', f'{finding.place.line} |')} {source}"
            f"\n{paint('dim', ' ' * gutter + ' |')} {paint(finding.severity.value, caret)}"
        )
    if finding.remedy:
        text += f"\n  {finding.remedy}"
    return text + "\n"


def _excerpt(place: Place, lines: Sequence[str]) -> tuple[str, str] | None:
    """The first line of the place, or the part around it of a long one, and the carets below.

    What is no printable character becomes one that is, so that the carets stand where they belong.
    """
    if not 1 <= place.line <= len(lines):
        return None
    line = lines[place.line - 1].rstrip()
    start = min(place.column - 1, len(line))
    is_one_line = place.end_line in (0, place.line)
    end = place.end_column - 1 if is_one_line and place.end_column else len(line)
    first = max(0, start - _BEFORE) if len(line) > _WIDTH else 0
    source = line[first : first + _WIDTH].replace("\t", " ")
    source = "".join(each if each.isprintable() else "?" for each in source)
    carets = "^" * max(1, min(end - first, len(source)) - (start - first))
    return source, " " * (start - first) + carets
