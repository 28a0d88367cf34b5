"""The `tonnage` command."""

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Annotated

import typer

from tonnage import __version__
from tonnage.cli import runs
from tonnage.cli.demo import demo
from tonnage.cli.engine_args import engine_args
from tonnage.cli.lint import lint
from tonnage.cli.markers import markers
from tonnage.cli.profile import profile
from tonnage.cli.replay import replay
from tonnage.cli.rerun import rerun
from tonnage.cli.rule import rule
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
    """Run tests packed: the same as `pytest --pack`.

    `pytest --help` lists the options, those of Tonnage in a group of their own.
    """
    raise typer.Exit(_pytest(["--pack", *(args or [])]))


@app.command(context_settings=_PASS_ON)
def plan(
    args: _PytestArgs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the plan as JSON.")] = False,
) -> None:
    """Show what a packed run would do, without running it: `pytest --dry-run`.

    `pytest --help` lists the options, those of Tonnage in a group of their own.
    """
    arguments = ["--dry-run", *(args or [])]
    if not as_json:
        raise typer.Exit(_pytest(arguments))
    from tonnage.cli.plan_catcher import PlanCatcher

    catcher = PlanCatcher()
    with redirect_stdout(sys.stderr):
        status = _pytest(arguments, plugins=[catcher])
    if catcher.plan is not None:
        typer.echo(json.dumps(catcher.plan, indent=2))
    raise typer.Exit(status)


def _pytest(arguments: list[str], plugins: Sequence[object] = ()) -> int:
    import pytest  # which the other commands start without

    return int(pytest.main(arguments, plugins=list(plugins)))


app.command()(demo)
app.add_typer(runs.app, name="runs")
app.command(context_settings=_PASS_ON)(replay)
app.command(context_settings=_PASS_ON)(rerun)
app.command(context_settings=_PASS_ON)(profile)
app.command("engine-args")(engine_args)


# Its own help, by argparse, has the options: see `tonnage.cli.lint_options`.
@app.command("lint", context_settings=_PASS_ON, add_help_option=False)
def _lint(
    args: Annotated[list[str] | None, typer.Argument(metavar="[OPTIONS] [PATHS]...")] = None,
) -> None:
    """Check tests against the marker contract, without importing them."""
    raise typer.Exit(lint(args or []))


app.command()(rule)
app.command()(markers)


def main() -> None:
    """Run a command: a user's mistake ends with its message and status 2."""
    try:
        app(prog_name="tonnage")
    except TonnageError as error:
        typer.echo(f"tonnage: {error}", err=True)
        sys.exit(2)
