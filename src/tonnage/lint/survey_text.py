"""A survey as plain text of at most 100 columns."""

import io

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tonnage.lint.survey import Survey
from tonnage.lint.survey_words import (
    UNCLEAR_MEANS,
    by_file,
    cell_text,
    has_unclear,
    headline,
    missing_text,
    vram_rows,
)

WIDTH = 100
_BAR = 40
_MOST_FILES = 20
_MOST_NOTES = 20
_SPACE = Text("")


def survey_text(survey: Survey) -> str:
    """The tables, one below the other."""
    parts: list[RenderableType] = [Text(headline(survey))]
    if survey.tests:
        parts += [*_rows(survey), *_by_category(survey), *_vram(survey), *_incomplete(survey)]
    if has_unclear(survey):
        parts += [_SPACE, Text(UNCLEAR_MEANS)]
    parts += _notes(survey)
    written = io.StringIO()
    console = Console(file=written, width=WIDTH, color_system=None, force_terminal=False)
    for part in parts:
        console.print(part, overflow="fold", highlight=False)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def _table(*columns: str) -> Table:
    """A table without lines, the first columns left and `tests` right."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in columns:
        table.add_column(name, justify="right" if name == "tests" else "left", overflow="fold")
    return table


def _rows(survey: Survey) -> list[RenderableType]:
    table = _table(*survey.columns, "tests")
    for row, tests in survey.rows:
        table.add_row(*(Text(cell_text(cell)) for cell in row), f"{tests:,}")
    return [_SPACE, table]


def _by_category(survey: Survey) -> list[RenderableType]:
    table = _table("category", "tests by its markers")
    for name, counts in survey.by_category.items():
        listed = ", ".join(f"{cell_text(cell)} {tests:,}" for cell, tests in counts)
        table.add_row(name, Text(listed))
    return [_SPACE, table]


def _vram(survey: Survey) -> list[RenderableType]:
    rows = vram_rows(survey)
    if not rows:
        return []
    table = _table("VRAM of each GPU", "tests", "")
    most = max(tests for _, tests in rows)
    for label, tests in rows:
        table.add_row(label, f"{tests:,}", "#" * -(-tests * _BAR // most))
    return [_SPACE, table]


def _incomplete(survey: Survey) -> list[RenderableType]:
    files = by_file(survey.incomplete)
    if not files:
        return []
    table = _table("tests", "without", "not fully declared in")
    for path, tests in list(files.items())[:_MOST_FILES]:
        table.add_row(f"{len(tests):,}", missing_text(tests), Text(path))
    parts: list[RenderableType] = [_SPACE, table]
    if len(files) > _MOST_FILES:
        left_out = len(files) - _MOST_FILES
        parts.append(Text(f"... and {left_out} more files; --format json names every test"))
    return parts


def _notes(survey: Survey) -> list[RenderableType]:
    if not survey.notes:
        return []
    lines = [f"note: {note}" for note in survey.notes[:_MOST_NOTES]]
    if len(survey.notes) > _MOST_NOTES:
        left_out = len(survey.notes) - _MOST_NOTES
        lines.append(f"... and {left_out} more notes; --format json has all of them")
    return [_SPACE, *map(Text, lines)]
