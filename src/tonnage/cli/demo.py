"""`tonnage demo`: a published GPU job, packed on a simulated card."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tonnage.demo.compare import comparison_lines
from tonnage.demo.recorded import events_of_trace, fullest_moment_s
from tonnage.demo.suite import write_suite
from tonnage.demo.workload import CARD_GIB, SLOTS, published_job
from tonnage.errors import OptionError
from tonnage.report.picture import live_svg


def demo(
    time_scale: Annotated[
        float, typer.Option(help="Part of each test's published time it takes here.")
    ] = 0.01,
    directory: Annotated[
        Path | None, typer.Option(help="Where to write the suite; a new directory by default.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also write the live view, mid-run, as an SVG file.")
    ] = None,
) -> None:
    """Run a suite shaped after a published L4 job on one simulated 22 GiB card."""
    if not 0 < time_scale <= 1:
        raise OptionError(
            f"{time_scale:g} is not a scale", where="--time-scale", remedy="Give 0 < scale <= 1."
        )
    place = (directory or Path(tempfile.mkdtemp(prefix="tonnage-demo-"))).absolute()
    trace, junit = place / "trace.json", place / "junit.xml"
    trace.unlink(missing_ok=True)
    write_suite(place, time_scale)
    status = subprocess.run(
        _command(trace, junit), cwd=place, env=_environment(), check=False
    ).returncode
    if not trace.exists():
        raise typer.Exit(status or 1)
    recorded = json.loads(trace.read_text(encoding="utf-8"))
    typer.echo("")
    for line in comparison_lines(recorded["otherData"], published_job(), time_scale):
        typer.echo(line)
    typer.echo(f"suite {place}\ntrace {trace} (open it at https://ui.perfetto.dev)\njunit {junit}")
    if picture is not None:
        _draw(recorded, picture)
    raise typer.Exit(status)


def _command(trace: Path, junit: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "pytest", "-p", "tonnage", "--pack"),
        *("--gpus", f"sim:1x{CARD_GIB}", "--slots", str(SLOTS)),
        *("--pack-trace", str(trace), "--junitxml", str(junit)),
    ]


def _environment() -> dict[str, str]:
    """This one without what it would bring into the suite: other plugins, somebody's options."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
    }
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _draw(recorded: dict[str, object], picture: Path) -> None:
    events = events_of_trace(recorded)
    svg = live_svg(events, fullest_moment_s(events))
    try:
        picture.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise OptionError(
            f"cannot write {picture}: {error.strerror}",
            where="--picture",
            remedy="Give a file in a directory that can be written to.",
        ) from error
    typer.echo(f"picture {picture}")
