"""A survey as JSON: everything in it, by name."""

import json
from typing import Any

from tonnage.lint.survey import Cell, Survey, SurveyedTest

FORMAT = 1


def survey_json(survey: Survey) -> str:
    """The JSON text. A cell is a list of markers, empty for none, null where it is unclear."""
    return json.dumps(_as_data(survey), indent=2)


def _as_data(survey: Survey) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "tests": survey.tests,
        "files": survey.files,
        "rows": [
            {**dict(zip(survey.columns, map(_cell, row), strict=True)), "tests": tests}
            for row, tests in survey.rows
        ],
        "by_category": {
            name: [{"markers": _cell(cell), "tests": tests} for cell, tests in counts]
            for name, counts in survey.by_category.items()
        },
        "vram": {
            "gpu_tests": survey.vram.gpu_tests,
            "bins": [
                {"above_mib": each.above_mib, "up_to_mib": each.up_to_mib, "tests": each.tests}
                for each in survey.vram.bins
            ],
            "undeclared": survey.vram.undeclared,
            "unclear": survey.vram.unclear,
        },
        "incomplete": [_incomplete(test) for test in survey.incomplete],
        "notes": list(survey.notes),
    }


def _cell(cell: Cell) -> list[str] | None:
    return None if cell is None else list(cell)


def _incomplete(test: SurveyedTest) -> dict[str, Any]:
    return {
        "node_id": test.node_id,
        "file": test.path,
        "line": test.line,
        "missing": list(test.missing),
    }
