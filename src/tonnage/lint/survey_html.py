"""A survey as one HTML page that needs nothing else: no script, no font, no picture from outside.

Every text that comes from the suite is escaped in `_text`.
"""

import html
from collections.abc import Iterable, Sequence

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
from tonnage.units import plural

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #777; --bar: #2f7d5b; }
@media (prefers-color-scheme: dark) { :root { --soft: #aaa; --bar: #58b58c; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem 1.4rem .25rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.number { text-align: right; }
.bar { width: 16rem; }
.bar div { background: var(--bar); height: .7rem; border-radius: 2px; }
.soft { color: var(--soft); }
code, summary { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .2rem 0; }
"""


def survey_html(survey: Survey, title: str) -> str:
    """The page, with this title."""
    parts = [f"<h1>{_text(title)}</h1>", f"<p>{_text(headline(survey))}</p>"]
    if survey.tests:
        parts += [*_rows(survey), *_by_category(survey), *_vram(survey), *_incomplete(survey)]
    if has_unclear(survey):
        parts.append(f'<p class="soft">{_text(UNCLEAR_MEANS)}</p>')
    if survey.notes:
        parts += ["<h2>Not read</h2>", "<ul>"]
        parts += [f"<li><code>{_text(note)}</code></li>" for note in survey.notes]
        parts.append("</ul>")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _rows(survey: Survey) -> list[str]:
    most = max(tests for _, tests in survey.rows)
    rows = [
        [*(_cell(cell_text(cell)) for cell in row), *_counted(tests, most)]
        for row, tests in survey.rows
    ]
    return _table("Tests by their markers", [*survey.columns, "tests", ""], rows)


def _by_category(survey: Survey) -> list[str]:
    parts: list[str] = []
    for name, counts in survey.by_category.items():
        most = max(tests for _, tests in counts)
        rows = [[_cell(cell_text(cell)), *_counted(tests, most)] for cell, tests in counts]
        parts += _table(f"By {name}", [name, "tests", ""], rows)
    return parts


def _vram(survey: Survey) -> list[str]:
    rows = vram_rows(survey)
    if not rows:
        return []
    most = max(tests for _, tests in rows)
    cells = [[_cell(label), *_counted(tests, most)] for label, tests in rows]
    return _table("VRAM of each GPU", ["declared", "tests", ""], cells)


def _incomplete(survey: Survey) -> list[str]:
    if not survey.incomplete:
        return []
    parts = ["<h2>Not fully declared</h2>"]
    for path, tests in by_file(survey.incomplete).items():
        parts.append(
            f"<details><summary>{_text(path)}: {plural(len(tests), 'test')} "
            f'<span class="soft">without {_text(missing_text(tests))}</span></summary>\n<ul>'
        )
        parts += [
            f"<li><code>{_text(test.node_id.partition('::')[2])}</code> "
            f'<span class="soft">{_text(test.path)}:{test.line}: '
            f"no {_text(', '.join(test.missing))}</span></li>"
            for test in tests
        ]
        parts.append("</ul></details>")
    return parts


def _table(title: str, heads: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A heading and its table; the cells are HTML already."""
    shown = [
        f'<th scope="col"{_NUMBER if head == "tests" else ""}>{_text(head)}</th>' for head in heads
    ]
    return [
        f"<h2>{_text(title)}</h2>",
        '<div class="table"><table>',
        f"<thead><tr>{''.join(shown)}</tr></thead>",
        "<tbody>",
        *(f"<tr>{''.join(row)}</tr>" for row in rows),
        "</tbody></table></div>",
    ]


_NUMBER = ' class="number"'


def _cell(text: str) -> str:
    return f"<td>{_text(text)}</td>"


def _counted(tests: int, most: int) -> tuple[str, str]:
    """The cells of a number: in figures, and as a bar beside the largest one's."""
    bar = f'<div style="width:{100 * tests / most:.1f}%"></div>'
    return f"<td{_NUMBER}>{tests:,}</td>", f'<td class="bar" aria-hidden="true">{bar}</td>'


def _text(text: str) -> str:
    return html.escape(text)
