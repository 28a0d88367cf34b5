"""The `tonnage` command."""

import json
import sys
from contextlib import redirect_stdout
from typing import Annotated

import pytest
import typer

from tonnage import __version__
from tonnage.cli import runs
from tonnage.cli.demo import demo
from tonnage.cli.engine_args import engine_args
from tonnage.cli.markers import markers
from tonnage.cli.profile import profile
from tonnage.cli.replay import replay
from tonnage.cli.rerun import rerun
from tonnage.errors import TonnageError

# Everything these commands do not know themselves goes to pytest as it is.
_PASS_ON = {"ignore_unknown_options": True}
_PytestArgs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PYTEST ARGS]...", help="Any arguments of pytest."),
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Packs a pytest suite onto the machine's GPUs, each test isolated in its own process.",
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"tonnage {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command(context_settings=_PASS_ON)
def run(args: _PytestArgs = None) -> None:
    """Run tests packed: the same as `pytest --pack`."""
    raise typer.Exit(int(pytest.main(["--pack", *(args or [])])))


@app.command(context_settings=_PASS_ON)
def plan(
    args: _PytestArgs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the plan as JSON.")] = False,
) -> None:
    """Show what a packed run would do, without running it: `pytest --dry-run`."""
    arguments = ["--dry-run", *(args or [])]
    if not as_json:
        raise typer.Exit(int(pytest.main(arguments)))
    from tonnage.cli.plan_catcher import PlanCatcher

    catcher = PlanCatcher()
    with redirect_stdout(sys.stderr):
        status = int(pytest.main(arguments, plugins=[catcher]))
    if catcher.plan is not None:
        typer.echo(json.dumps(catcher.plan, indent=2))
    raise typer.Exit(status)


app.command()(demo)
app.command(context_settings=_PASS_ON)(replay)
app.command(context_settings=_PASS_ON)(rerun)
app.add_typer(runs.app, name="runs")
app.command("engine-args")(engine_args)
app.command()(markers)
app.command(context_settings=_PASS_ON)(profile)


def main() -> None:
    """Entry point of the console script: a user's mistake ends with its message and status 2."""
    try:
        app(prog_name="tonnage")
    except TonnageError as error:
        typer.echo(f"tonnage: {error}", err=True)
        sys.exit(2)
