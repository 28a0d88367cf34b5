"""`tonnage engine-args`: what a launch script adds to its engine's command line."""

import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from tonnage.errors import OptionError
from tonnage.profile.engine_args import (
    Launcher,
    engine_arguments,
    parse_override,
    trtllm_configuration,
)


def engine_args(
    engine: Annotated[Launcher, typer.Argument(help="The engine that is launched.")],
    merge: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|JSON",
            help="trtllm: the override of your own that the caps are merged into.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="trtllm: one JSON configuration instead of arguments."),
    ] = False,
) -> None:
    """Print the arguments that make an engine honour the memory caps in the environment.

    One line, quoted for a shell; nothing when no cap is set.
    """
    if engine is not Launcher.TRTLLM and (merge is not None or as_json):
        raise OptionError(
            f"{engine.value} has no override of this kind",
            where="--merge" if merge is not None else "--json",
            remedy="It is for trtllm.",
        )
    override = None if merge is None else _override(merge)
    if as_json:
        configuration = trtllm_configuration(os.environ, override)
        text = json.dumps(configuration, indent=2) if configuration else ""
    else:
        text = shlex.join(engine_arguments(engine, os.environ, override))
    if text:
        typer.echo(text)


def _override(given: str) -> dict[str, Any]:
    if given.lstrip().startswith("{"):
        return parse_override(given, "--merge")
    try:
        text = Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise OptionError(
            f"cannot read {given}: {getattr(error, 'strerror', None) or error}",
            where="--merge",
            remedy="Give a JSON object or its file.",
        ) from error
    return parse_override(text, f"--merge {given}")
