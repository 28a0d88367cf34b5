"""`tonnage profile`: what tests need, measured, and written into their markers."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from tonnage.cli.profile_screen import Screen
from tonnage.config import load_settings
from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec
from tonnage.errors import OptionError, suggestion
from tonnage.lint.edit_marks import require_editor
from tonnage.profile.codec import profiled_to_json
from tonnage.profile.findings import Profiled
from tonnage.profile.model import CapKind, ProbeSettings, Verdict
from tonnage.profile.plot import check_plot, plot
from tonnage.profile.resume import ResumeFile
from tonnage.profile.samples_csv import samples_csv
from tonnage.profile.selection import select_tests
from tonnage.profile.session import (
    Asked,
    Session,
    check_gpus,
    check_one,
    check_writable,
    crowded_cards,
    profiler,
    search_space,
)

_CAPS = {
    "fraction": CapKind.FRACTION,
    "vllm": CapKind.VLLM_BYTES,
    "sglang": CapKind.SGLANG_TOKENS,
    "trtllm": CapKind.TRTLLM_TOKENS,
    "trtllm-gib": CapKind.TRTLLM_GIB,
}
_INTERRUPTED = 2  # pytest's own exit status


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
            metavar="|".join(_CAPS),
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
    low, high = _range(range_)
    asked = Asked(
        ProbeSettings(interval, baseline_seconds, teardown_seconds, ends_early=True),
        find_least=not no_find_min_vram,
        kind=None if cap is None else _cap_kind(cap),
        low=low,
        high=high,
        tolerance=None if tolerance is None else _number(tolerance, "--tolerance"),
    )
    if plot_file is not None:
        check_plot(plot_file)
    for file, option in ((csv, "--csv"), (plot_file, "--plot")):
        if file is not None:
            check_writable(file, option)
    edits = apply or diff
    if edits:
        if no_recommend:
            raise OptionError(
                "there is nothing to write", where="--no-recommend", remedy="Leave one of them out."
            )
        require_editor()

    settings = load_settings(Path.cwd())
    devices = open_devices(parse_gpu_spec(gpus or settings.gpus), os.environ)
    screen = Screen(sys.stderr if as_json else sys.stdout)
    try:
        selection = select_tests(args, {**os.environ, **devices.base_environment})
        check_one(selection, "--csv" if csv else "--plot" if plot_file else None)
        check_gpus(devices, selection.tests, settings.vocabulary)
        if asked.find_least:
            for test in selection.tests:
                search_space(asked, test, devices.gpus, devices, settings.vocabulary)
        command = ["tonnage", "profile", *sys.argv[2:]]
        screen.begin(devices, selection, crowded_cards(devices))
        how = {"gpus": str(gpus or settings.gpus), "asked": repr(asked), "args": selection.options}
        kept = ResumeFile(selection.root, how)
        kept.begin(anew=not resume)
        vocabulary = settings.vocabulary
        session = Session(
            selection,
            devices,
            settings,
            profiler(asked, selection, devices, vocabulary, Path.cwd()),
            kept,
            advise=not no_recommend,
        )
        wanted = {test.node_id for test in selection.tests}
        done = {test: result for test, result in kept.read().items() if test in wanted}
        with screen:
            found = session.run(done, screen.tell)
        screen.end(found, asked, command, devices)
        if as_json:
            typer.echo(json.dumps([profiled_to_json(each) for each in found], indent=2))
        _write_files(found, csv, plot_file)
        if edits:
            from tonnage.cli.profile_apply import apply_markers

            apply_markers(found, vocabulary, writes=apply and not diff, say=screen.say)
    finally:
        devices.close()
    raise typer.Exit(_status(found))


def _write_files(found: list[Profiled], csv: Path | None, plot_file: Path | None) -> None:
    """The files of the one test that was profiled."""
    result = found[0].result
    if result is None:
        return
    if csv is not None:
        csv.write_text(samples_csv(result), encoding="utf-8")
    if plot_file is not None:
        plot_file.write_bytes(plot(found[0].test.node_id, result, plot_file.suffix))


def _status(found: list[Profiled]) -> int:
    results = [each.result for each in found]
    if any(result is None or result.verdict is Verdict.INTERRUPTED for result in results):
        return 1 if any(each.error for each in found) else _INTERRUPTED
    return int(
        any(result is not None and result.verdict is not Verdict.FOUND for result in results)
    )


def _cap_kind(name: str) -> CapKind:
    if name not in _CAPS:
        raise OptionError(
            f'"{name}" is no cap', where="--cap", remedy=suggestion(name, _CAPS) or ", ".join(_CAPS)
        )
    return _CAPS[name]


def _range(text: str | None) -> tuple[float | None, float | None]:
    if text is None:
        return None, None
    low, separator, high = text.partition("-")
    if not separator:
        raise OptionError(
            f'"{text}" is no range', where="--range", remedy="Give two ends, such as 5%-95%."
        )
    return _number(low, "--range"), _number(high, "--range")


_NUMBER = re.compile(r"(?P<number>[0-9]*\.?[0-9]+)(?P<percent>%?)", re.ASCII)


def _number(text: str, option: str) -> float:
    """A number, or a percentage as a share."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise OptionError(f'"{text}" is no number', where=option, remedy="Give one such as 5%.")
    number = float(match["number"])
    return number / 100 if match["percent"] else number
