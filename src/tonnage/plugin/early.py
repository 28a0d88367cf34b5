"""The early start of a packed run: its directory and its zygote, before anything else is read."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from tonnage.devices.scratch import ScratchDirectory
from tonnage.execute.launch import Launched, launch

# Options under which pytest talks to its user, or shows instead of running: they need one process.
_ONE_PROCESS = {
    "usepdb": "--pdb",
    "trace": "--trace",
    "setupshow": "--setup-show",
    "setuponly": "--setup-only",
    "setupplan": "--setup-plan",
}
# Options under which no test is run at all.
_SHOW_ONLY = (
    "collectonly",
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "cacheshow",
    "tonnage_dry_run",
)


@dataclass(frozen=True, slots=True)
class EarlyStart:
    """What exists of a run before its options have been read. `end` takes it all back."""

    scratch: ScratchDirectory
    launched: Launched

    @property
    def directory(self) -> Path:
        """The run's private directory."""
        return self.scratch.path

    def end(self) -> None:
        """End the process if it still runs, and remove the directory."""
        self.launched.end()
        self.scratch.remove()


def one_process_option(options: argparse.Namespace) -> str | None:
    """The option that keeps all tests in this process, if one is given."""
    given = (flag for name, flag in _ONE_PROCESS.items() if getattr(options, name, False))
    return next(given, None)


def will_pack(options: argparse.Namespace) -> bool:
    """Whether the tests of a session with these options will be run packed."""
    return bool(
        getattr(options, "tonnage_pack", None)
        and not any(getattr(options, name, None) for name in _SHOW_ONLY)
        and one_process_option(options) is None
    )


def start_early(config: pytest.Config) -> EarlyStart:
    """Start now; whatever happens, it is taken back when the config is."""
    scratch = ScratchDirectory("tonnage-run-")
    inherit_output = config.option.capture == "no"
    early = EarlyStart(scratch, launch(log_of(scratch.path), inherit_output=inherit_output))
    config.add_cleanup(early.end)
    return early


def log_of(directory: Path) -> Path:
    """Where a zygote's own output goes."""
    return directory / "zygote.log"


EARLY = pytest.StashKey[EarlyStart]()
