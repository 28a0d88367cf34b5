"""`tonnage replay`: show a recorded run again."""

import json
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer

from tonnage.cli.run_argument import split_run
from tonnage.record.codec import to_data
from tonnage.record.events import AttemptFinished, ReportRecorded
from tonnage.record.reading import Journal, read_journal
from tonnage.record.runs import find_run
from tonnage.report.trace import write_trace


def replay(
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [PYTEST ARGS]...",
            help="The run, by the beginning of its id, or the newest; then arguments of pytest "
            "about what is shown, such as -v or -rA.",
        ),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Also write a Chrome/Perfetto trace of the run.")
    ] = None,
    junitxml: Annotated[Path | None, typer.Option(help="Also write a JUnit file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the run as JSON.")] = False,
) -> None:
    """Show a recorded run again, as pytest showed it."""
    name, more = split_run(args)
    journal = read_journal(find_run(Path.cwd(), name))
    if trace is not None:
        write_trace(trace, journal.events)
    if as_json:
        typer.echo(json.dumps(_as_data(journal), indent=2))
    if not as_json or junitxml is not None:
        _show(journal, more, junitxml, is_silent=as_json)


def _show(journal: Journal, more: list[str], junitxml: Path | None, *, is_silent: bool) -> None:
    """Through pytest's own reporters, and nothing that the project or its plugins would add."""
    import pytest  # which the other commands start without

    from tonnage.plugin.player import Player

    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ.pop("PYTEST_PLUGINS", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    arguments = ["-c", os.devnull, "--rootdir", journal.info.rootdir, "--noconftest"]
    arguments += ["-p", "no:cacheprovider", "--no-header"]
    if junitxml is not None:
        arguments += ["--junitxml", str(junitxml.absolute())]
    with redirect_stdout(StringIO() if is_silent else sys.stdout):
        status = pytest.main([*arguments, *more], plugins=[Player(journal)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise typer.Exit(int(status))


def _as_data(journal: Journal) -> dict[str, Any]:
    """The run for machines: what it was, its figures, and each attempt with what it said."""
    reports: dict[tuple[str, int], list[Any]] = {}
    for event in journal.events:
        if isinstance(event, ReportRecorded):
            reports.setdefault((event.node_id, event.attempt), []).append(to_data(event))
    return {
        "run": to_data(journal.info),
        "totals": to_data(journal.totals),
        "is_closed": journal.is_closed,
        "remarks": journal.remarks(),
        "collection_errors": [
            report for (_, attempt), made in reports.items() if attempt == 0 for report in made
        ],
        "attempts": [
            {**to_data(event), "reports": reports.get((event.node_id, event.attempt), [])}
            for event in journal.events
            if isinstance(event, AttemptFinished)
        ],
    }
