"""One run of `tonnage lint`, remembered for the next."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tonnage.cli.lint_answer import Answer
from tonnage.cli.lint_options import Format, LintOptions, parse_options
from tonnage.cli.output_file import write_output
from tonnage.cli.suite_paths import find_suite
from tonnage.errors import TonnageError
from tonnage.lint.checking import check_paths
from tonnage.lint.listing import as_json, as_text, listed
from tonnage.lint.project import Project, configuration_places
from tonnage.lint.remembered import begin, begin_reading, cache_directory, remember

_USAGE = 2


def run(
    arguments: Sequence[str], key: Mapping[str, object], *, has_colour: bool
) -> dict[str, object]:
    """Run lint and keep the answer by its key; returns `out`, `err` and `status`."""
    try:
        answer = _run(parse_options(arguments), key, has_colour=has_colour)
    except TonnageError as error:
        answer = Answer(err=f"tonnage: {error}\n", status=_USAGE)
    return _said(answer)


def _run(options: LintOptions, key: Mapping[str, object], *, has_colour: bool) -> Answer:
    directory = Path.cwd()
    project, paths = find_suite(options.paths, directory)
    cache = cache_directory(str(project.root)) if options.cache else None
    not_before_ns = begin(cache) if cache else 0
    if options.list_tests:
        began_ns = begin_reading(not_before_ns)
        answer = _list(options, project, paths, cache)
    else:
        # Only here are the rules and the settings needed.
        from tonnage.cli.lint_check import check_suite

        began_ns = begin_reading(not_before_ns)
        has_colour = has_colour and options.output is None
        answer = check_suite(options, project, paths, cache, has_colour=has_colour)
    if options.output is not None:
        write_output(options.output, answer.out)
        answer.out = ""
    elif cache and answer.is_lasting:
        around = _decisive(project, paths, directory)
        depends_on = [*answer.depends_on, *around, *_own_modules()]
        remember(cache, key, depends_on, _said(answer), began_ns)
    return answer


def _list(options: LintOptions, project: Project, paths: list[Path], cache: str | None) -> Answer:
    checked = check_paths(
        paths, project, listed, jobs=options.jobs, cache=Path(cache) if cache else None
    )
    is_json = options.format is Format.JSON
    out = as_json(checked.results, str(project.root)) if is_json else as_text(checked.results)
    return Answer(out=out, depends_on=checked.depends_on, is_lasting=bool(checked.results))


def _said(answer: Answer) -> dict[str, object]:
    return {"out": answer.out, "err": answer.err, "status": answer.status}


def _decisive(project: Project, paths: list[Path], directory: Path) -> Iterator[str]:
    """What decides which project and which paths the command means."""
    for place in (directory, *paths):
        yield from configuration_places(place)
    for glob in project.testpaths:
        parts = Path(glob).parts
        for length in range(len(parts)):
            matching = directory.glob("/".join(parts[:length])) if length else [directory]
            yield from (str(path) for path in matching if path.is_dir())


def _own_modules() -> Iterator[str]:
    """The code that made the answer, which changes with an upgrade, or while it is developed."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] == "tonnage":
            yield file
