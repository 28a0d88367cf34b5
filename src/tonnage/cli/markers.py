"""`tonnage markers`: the suite by its markers, read without running anything.

Here are the options alone, so that every other command starts without what reading needs.
"""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Format(str, Enum):
    """How the figures are written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


def markers(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATHS", help="Test files and directories; all by default."),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="How to write the figures.")
    ] = Format.TEXT,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file, not to the terminal.")
    ] = None,
) -> None:
    """Count the tests by lifecycle, type, hardware and component, without running any."""
    from tonnage.cli.markers_run import run

    run(paths or [], format_.value, output)
