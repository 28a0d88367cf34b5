"""`tonnage runs`: the recorded runs, and removing old ones."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tonnage.record.prune import KEEP, Keep, prune
from tonnage.record.runs import RecordedRun, home_above, recorded_run
from tonnage.record.store import run_directories
from tonnage.units import format_duration, plural

app = typer.Typer(help="List the recorded runs of this project, newest first.")


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Write the list as JSON.")] = False,
) -> None:
    """List the recorded runs of this project, newest first."""
    if context.invoked_subcommand is not None:
        return
    found = [recorded_run(each) for each in run_directories(home_above(Path.cwd()))]
    if as_json:
        typer.echo(json.dumps([_as_data(run) for run in found], indent=2))
        return
    width = max(len(run.ending) for run in found)
    for run in found:
        typer.echo(_line(run, width))


@app.command("prune")
def prune_runs(
    keep_days: Annotated[
        float, typer.Option(min=0, help="Keep runs that ended within so many days.")
    ] = KEEP.days,
    keep_runs: Annotated[int, typer.Option(min=1, help="Keep at most so many.")] = KEEP.runs,
    max_size_mib: Annotated[
        float, typer.Option(min=0, help="Keep at most so much, all journals together.")
    ] = KEEP.size_mib,
) -> None:
    """Remove old runs; never the newest, nor one that goes on."""
    root = home_above(Path.cwd()).parent
    removed = prune(root, Keep(keep_days, keep_runs, max_size_mib))
    for run_id in removed:
        typer.echo(run_id)
    typer.echo(f"removed {plural(len(removed), 'run')}")


def _line(run: RecordedRun, width: int) -> str:
    if run.info is None or run.totals is None:
        return f"{run.id}  {'':16}  {run.ending:<{width}}  its journal cannot be read"
    totals = run.totals
    counts = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in totals.counts)
    open_count = totals.collected - totals.ended
    if open_count > 0:
        counts += f"{', ' if counts else ''}{open_count} not run"
    when = datetime.fromtimestamp(run.info.started_s).astimezone()
    parts = [run.id, f"{when:%Y-%m-%d %H:%M}", f"{run.ending:<{width}}"]
    parts.append(f"{format_duration(totals.makespan_s):>7}")
    parts.append(counts or "nothing ran")
    if run.info.parent:
        parts.append(f"(again: {run.info.parent})")
    return "  ".join(parts)


def _as_data(run: RecordedRun) -> dict[str, Any]:
    info, totals = run.info, run.totals
    return {
        "id": run.id,
        "state": run.state,
        "ending": run.ending,
        "started_s": info and info.started_s,
        "exit_status": totals and totals.exit_status,
        "makespan_s": totals and totals.makespan_s,
        "collected": totals and totals.collected,
        "counts": dict(totals.counts) if totals else None,
        "parent": info and info.parent,
        "arguments": list(info.arguments) if info else None,
        "size_bytes": run.size_bytes,
    }
