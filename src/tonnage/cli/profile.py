"""`tonnage profile`: what tests need, measured, and written into their markers.

Here are the options alone, so that every other command starts without what measuring needs.
"""

from pathlib import Path
from typing import Annotated

import typer

_CAPS = "fraction|vllm|sglang|trtllm|trtllm-gib"


def profile(
    args: Annotated[
        list[str],
        typer.Argument(
            metavar="TEST",
            help="Tests, as pytest names them, and any of its arguments.",
        ),
    ],
    no_find_min_vram: Annotated[
        bool, typer.Option("--no-find-min-vram", help="One pass without a cap instead of a search.")
    ] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two samples.")] = 0.1,
    baseline_seconds: Annotated[
        float, typer.Option(help="Seconds to sample before the test.")
    ] = 3.0,
    teardown_seconds: Annotated[
        float, typer.Option(help="Seconds to sample after the test, at most.")
    ] = 5.0,
    csv: Annotated[Path | None, typer.Option(help="Write every sample to this CSV file.")] = None,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw VRAM over time into this .svg, .png or .html file."),
    ] = None,
    no_recommend: Annotated[
        bool, typer.Option("--no-recommend", help="Only measure; advise no markers.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the results as JSON to standard output.")
    ] = False,
    cap: Annotated[
        str | None,
        typer.Option(
            metavar=_CAPS,
            help="What is capped while searching; by default what the test's markers say.",
        ),
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option("--range", metavar="LOW-HIGH", help="Caps to search between (5%-95%)."),
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(help="How exactly to find the least cap: 5%, or a ratio for engine caps."),
    ] = None,
    gpus: Annotated[
        str | None, typer.Option(metavar="SPEC", help="As pytest --gpus: nvml or sim:2x24.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the advised markers into the test files.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what --apply would change, and change nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier profile was interrupted.")
    ] = False,
) -> None:
    """Measure what tests need: the least VRAM they pass with, and the markers that follow."""
    from tonnage.cli.profile_run import Request, run

    request = Request(
        arguments=args,
        find_least=not no_find_min_vram,
        interval_s=interval,
        baseline_s=baseline_seconds,
        teardown_s=teardown_seconds,
        csv=csv,
        plot=plot_file,
        recommends=not no_recommend,
        as_json=as_json,
        cap=cap,
        caps=range_,
        tolerance=tolerance,
        gpus=gpus,
        writes=apply and not diff,
        shows=diff,
        resume=resume,
    )
    raise typer.Exit(run(request))
