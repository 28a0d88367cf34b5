"""`tonnage rerun`: run again what failed in a recorded run, or what it did not come to."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tonnage.cli.run_argument import split_run
from tonnage.devices.scratch import ScratchDirectory
from tonnage.errors import OptionError, RecordError
from tonnage.record import events
from tonnage.record.reading import Journal, is_being_written, read_journal
from tonnage.record.redact import REDACTED
from tonnage.record.runs import find_run
from tonnage.record.totals import last_attempts
from tonnage.units import plural

# What these select depends on earlier runs, so they would not select again what they did then.
_SELECT_BY_HISTORY = frozenset(
    (
        *("--lf", "--last-failed", "--ff", "--failed-first", "--nf", "--new-first"),
        *("--sw", "--stepwise", "--sw-skip", "--stepwise-skip", "--sw-reset", "--stepwise-reset"),
    )
)


def rerun(
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [PYTEST ARGS]...",
            help="The run, by the beginning of its id, or the newest; then any arguments of "
            "pytest, which are added to that run's own.",
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Run what failed in it.")] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Run what it collected and did not finish.")
    ] = False,
) -> None:
    """Run tests of a recorded run again, packed, with the arguments it had."""
    if not failed and not unfinished:
        raise OptionError(
            "nothing is asked for",
            where="tonnage rerun",
            remedy="Give --failed, --unfinished, or both.",
        )
    name, more = split_run(args)
    directory = find_run(Path.cwd(), name)
    journal = read_journal(directory)
    for remark in journal.remarks():
        typer.echo(f"tonnage: {remark}", err=True)
    if is_being_written(directory):
        raise RecordError(f"run {journal.info.run} goes on", remedy="Wait until it has ended.")
    wanted = _wanted(journal, failed=failed, unfinished=unfinished)
    if wanted is not None and not wanted:
        typer.echo(f"tonnage: run {journal.info.run} left nothing to do")
        return
    raise typer.Exit(_run(journal, wanted, more))


def _wanted(journal: Journal, *, failed: bool, unfinished: bool) -> list[str] | None:
    """The node ids to run; None: the run did not come to know its tests, so all."""
    last = last_attempts(journal.events)
    planned = next((e for e in journal.events if isinstance(e, events.TestsCollected)), None)
    broken = [
        event.node_id
        for event in journal.events
        if isinstance(event, events.ReportRecorded)
        and event.phase == "collect"
        and event.outcome == "failed"
    ]
    wanted: list[str] = []
    if failed:
        wanted += [*broken, *(name for name, end in last.items() if end.outcome.is_failure)]
    if unfinished:
        if planned is None and not (failed and broken):
            return None
        wanted += (
            [test.node_id for test in planned.tests if test.node_id not in last] if planned else []
        )
    return list(dict.fromkeys(wanted))


def _run(journal: Journal, wanted: list[str] | None, more: list[str]) -> int:
    import pytest  # which the other commands start without

    from tonnage.plugin.rerun import OPTION, Rerun

    info = journal.info
    arguments = _arguments(info.arguments)
    if "--pack" not in arguments:
        arguments.insert(0, "--pack")
    os.chdir(info.directory)
    scratch = ScratchDirectory("tonnage-rerun-")
    try:
        if wanted is not None:
            typer.echo(f"tonnage: {plural(len(wanted), 'test')} of run {info.run}", err=True)
        file = scratch.path / "tests.json"
        Rerun(info.run, None if wanted is None else tuple(wanted)).write(file)
        return int(pytest.main([*arguments, *more, f"{OPTION}={file}"]))
    finally:
        scratch.remove()


def _arguments(recorded: tuple[str, ...]) -> list[str]:
    """A run's arguments as they can be used again; says what had to be left out."""
    kept: list[str] = []
    for argument in recorded:
        if REDACTED in argument:
            # A bare value belongs to the option before it.
            option = argument if argument.startswith("-") or not kept else kept.pop()
            typer.echo(
                f"tonnage: {option.partition('=')[0]} is left out: its value was not recorded, as "
                "it looks like a secret; give it again after the run",
                err=True,
            )
        elif argument not in _SELECT_BY_HISTORY:
            kept.append(argument)
    return kept
