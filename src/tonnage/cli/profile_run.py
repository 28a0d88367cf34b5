"""Carrying out `tonnage profile`: check everything, measure, print, write."""

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tonnage.cli.output_file import write_output
from tonnage.cli.profile_screen import Screen
from tonnage.config import load_settings
from tonnage.devices.backend import DeviceGpu
from tonnage.devices.open import Devices, open_devices
from tonnage.devices.spec import parse_gpu_spec
from tonnage.errors import OptionError, suggestion
from tonnage.markers.vocabulary import Vocabulary
from tonnage.profile.codec import profiled_to_json
from tonnage.profile.findings import Profiled
from tonnage.profile.model import CapKind, ProbeSettings, Verdict
from tonnage.profile.plot import check_plot, plot
from tonnage.profile.resume import ResumeFile
from tonnage.profile.samples_csv import samples_csv
from tonnage.profile.selection import Selection, select_tests
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
# What to do when a file cannot be written after all that was measured for it.
_KEPT = "Make room, or give another file; what was measured is above."


@dataclass(frozen=True, slots=True)
class Request:
    """The command line: pytest's arguments, and our options as they were given."""

    arguments: Sequence[str]
    find_least: bool
    interval_s: float
    baseline_s: float
    teardown_s: float
    csv: Path | None
    plot: Path | None
    recommends: bool
    as_json: bool
    cap: str | None
    caps: str | None
    tolerance: str | None
    gpus: str | None
    writes: bool
    shows: bool
    resume: bool


def run(request: Request) -> int:
    """Profile the tests; the exit status. Raises TonnageError before anything is measured."""
    asked = _asked(request)
    _check_files(request)
    settings = load_settings(Path.cwd())
    gpus = request.gpus or settings.gpus
    devices = open_devices(parse_gpu_spec(gpus), os.environ)
    screen = Screen(sys.stderr if request.as_json else sys.stdout)
    try:
        selection = select_tests(request.arguments, {**os.environ, **devices.base_environment})
        _check_selection(request, asked, selection, devices, settings.vocabulary)
        screen.begin(devices, selection, crowded_cards(devices))
        how = {"gpus": gpus, "asked": repr(asked), "arguments": request.arguments}
        kept = ResumeFile(selection.root, how)
        kept.begin(anew=not request.resume)
        earlier = kept.read()
        session = Session(
            selection,
            devices,
            settings.vocabulary,
            profiler(asked, selection, devices, settings.vocabulary, Path.cwd(), earlier.begun),
            kept,
            advise=request.recommends,
        )
        with screen:
            found = session.run(earlier.finished, screen.tell)
    finally:
        devices.close()
    screen.end(found, asked, _command())
    if kept.problem:
        screen.say(f"WARNING: --resume will not know all of this: cannot write {kept.problem}")
    if request.as_json:
        command = shlex.join(_command())
        told = [profiled_to_json(each, command) for each in found]
        print(json.dumps(told, indent=2))  # noqa: T201
    _write_files(found, request.csv, request.plot, devices.gpus)
    if request.writes or request.shows:
        from tonnage.cli.profile_apply import apply_markers

        apply_markers(
            found,
            selection.files,
            settings.vocabulary,
            writes=request.writes,
            say=screen.say,
        )
    status = _status(found)
    if status == _INTERRUPTED:
        again = _command() if request.resume else [*_command(), "--resume"]
        screen.say(f"To go on from here: {shlex.join(again)}")
    return status


def _asked(request: Request) -> Asked:
    if not request.find_least:
        for value, option in (
            (request.cap, "--cap"),
            (request.caps, "--range"),
            (request.tolerance, "--tolerance"),
        ):
            if value is not None:
                raise OptionError(
                    "--no-find-min-vram takes one pass without a cap, and searches nothing",
                    where=option,
                    remedy="Give one of the two.",
                )
    low, high = _range(request.caps)
    return Asked(
        ProbeSettings(request.interval_s, request.baseline_s, request.teardown_s, ends_early=True),
        find_least=request.find_least,
        kind=None if request.cap is None else _cap_kind(request.cap),
        low=low,
        high=high,
        tolerance=None if request.tolerance is None else _number(request.tolerance, "--tolerance"),
    )


def _check_files(request: Request) -> None:
    if request.plot is not None:
        check_plot(request.plot)
    for file, option in ((request.csv, "--csv"), (request.plot, "--plot")):
        if file is not None:
            check_writable(file, option)
    if request.writes or request.shows:
        if not request.recommends:
            raise OptionError(
                "without advice there is nothing to write",
                where="--no-recommend",
                remedy="Leave it out, or --apply and --diff.",
            )
        from tonnage.lint.edit_marks import require_editor

        require_editor()


def _check_selection(
    request: Request,
    asked: Asked,
    selection: Selection,
    devices: Devices,
    vocabulary: Vocabulary,
) -> None:
    for file, option in ((request.csv, "--csv"), (request.plot, "--plot")):
        if file is not None:
            check_one(selection, option)
    if request.writes:
        for path in selection.files:
            check_writable(path, "--apply")
    check_gpus(devices, selection.tests, vocabulary)
    if asked.find_least:
        for test in selection.tests:
            search_space(asked, test, devices.gpus, devices, vocabulary)


def _command() -> list[str]:
    """The command line as it can be given again, whichever way it was started."""
    return ["tonnage", *sys.argv[1:]]


def _write_files(
    found: list[Profiled], csv: Path | None, plot_file: Path | None, cards: Sequence[DeviceGpu]
) -> None:
    """The files of the one test that was profiled."""
    result = found[0].result
    if result is None:
        return
    if csv is not None:
        write_output(csv, samples_csv(result), "--csv", _KEPT)
    if plot_file is not None:
        picture = plot(found[0].test.node_id, result, plot_file.suffix, cards)
        write_output(plot_file, picture, "--plot", _KEPT)


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


_NUMBER = re.compile(r"(?P<number>[0-9]*\.?[0-9]+(?:[eE][0-9]+)?)(?P<percent>%?)", re.ASCII)


def _number(text: str, option: str) -> float:
    """A number, or a percentage as a share."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise OptionError(f'"{text}" is no number', where=option, remedy="Give one such as 5%.")
    number = float(match["number"])
    return number / 100 if match["percent"] else number
