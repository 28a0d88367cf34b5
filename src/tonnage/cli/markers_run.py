"""What `tonnage markers` does: reads the suite and writes its figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from tonnage.cli.output_file import write_output
from tonnage.cli.suite_paths import find_suite
from tonnage.config import load_settings
from tonnage.lint.checking import check_paths
from tonnage.lint.remembered import begin, cache_directory
from tonnage.lint.source import Reading
from tonnage.lint.survey import Survey, survey_of, surveyed, surveyed_from_data
from tonnage.lint.survey_html import survey_html
from tonnage.lint.survey_json import survey_json
from tonnage.lint.survey_text import survey_text


def run(paths: Sequence[Path], form: str, output: Path | None) -> None:
    """Write the figures of these paths as `form`: text, json or html."""
    survey, root = _survey(paths)
    if form == "text":
        text = survey_text(survey)
    elif form == "json":
        text = survey_json(survey)
    else:
        text = survey_html(survey, f"Markers of {root.name}")
    if output is None:
        typer.echo(text.rstrip().encode("utf-8", "backslashreplace"))
    else:
        write_output(output, f"{text.rstrip()}\n")


def _survey(given: Sequence[Path]) -> tuple[Survey, Path]:
    """The figures of the suite, and the root of its project."""
    project, paths = find_suite(given, Path.cwd())
    vocabulary = load_settings(project.root).vocabulary

    def count(reading: Reading) -> dict[str, Any]:
        return {
            "tests": [surveyed(test, vocabulary).as_data() for test in reading.tests],
            "notes": _notes(reading),
        }

    cache = cache_directory(str(project.root))
    begin(cache)  # made here, so that version control leaves it out
    checked = check_paths(paths, project, count, cache=Path(cache))
    tests = [surveyed_from_data(data) for share in checked.results for data in share["tests"]]
    notes = [note for share in checked.results for note in share["notes"]]
    return survey_of(tests, vocabulary, notes), project.root


def _notes(reading: Reading) -> list[str]:
    """What could not be read, and where pytest may find tests that were not seen."""
    notes = [
        f"{problem.place.path}:{problem.place.line}: {problem.reason}"
        for file in reading.files
        for problem in file.problems
    ]
    return notes + [
        f"{file.path}: there may be further tests: {reason}"
        for file in reading.files
        if file.is_collected
        for reason in file.unknown
    ]
