"""The early start of a packed run: its directory and its zygote, before anything else is read."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from tonnage.clock import SystemClock
from tonnage.devices.scratch import ScratchDirectory
from tonnage.errors import OptionError
from tonnage.execute.cgroup import RunCgroup, end_abandoned
from tonnage.execute.launch import Launched, launch
from tonnage.record.store import new_run_id

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


# Options of plugins that need what stays in the process of a test, with what to do instead.
_REFUSED = {
    "fail_on_flaky": (
        "--fail-on-flaky",
        "pytest-rerunfailures looks for reruns on tests collected in this process",
        "Leave it away: the summary of a packed run names every test that was run again.",
    ),
    "benchmark_cprofile": (
        "--benchmark-cprofile",
        "the profile stays in the process of the test that was profiled",
        "Profile without --pack.",
    ),
}


@dataclass(frozen=True, slots=True)
class EarlyStart:
    """What exists of a run before its options have been read. `end` takes it all back.

    `ended`: processes of runs that were killed, found and ended now.
    """

    run_id: str
    scratch: ScratchDirectory
    launched: Launched
    ended: list[str]

    @property
    def directory(self) -> Path:
        """The run's private directory."""
        return self.scratch.path

    def end(self) -> None:
        """End the process if it still runs, and all that it has started; remove the directory."""
        self.launched.end()
        if self.launched.cgroup is not None:
            self.launched.cgroup.remove()
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


def refuse_what_cannot_work(options: argparse.Namespace) -> None:
    """Raise OptionError for an option that a packed run could only ignore."""
    for name, (flag, reason, remedy) in _REFUSED.items():
        if getattr(options, name, None):
            raise OptionError(reason, where=f"{flag} with --pack", remedy=remedy)


def shows_output(options: argparse.Namespace) -> bool:
    """Whether what tests print goes to the terminal while they run."""
    return getattr(options, "capture", "no") in ("no", "tee-sys")


def start_early(config: pytest.Config) -> EarlyStart:
    """Start now; whatever happens, it is taken back when the config is."""
    scratch = ScratchDirectory("tonnage-run-")
    run_id = new_run_id(SystemClock().wall_s())
    output = shows_output(config.option)
    ended = end_abandoned()
    cgroup = RunCgroup.make(run_id)
    launched = launch(log_of(scratch.path), run_id, cgroup, inherit_output=output)
    early = EarlyStart(run_id, scratch, launched, ended)
    config.add_cleanup(early.end)
    return early


def log_of(directory: Path) -> Path:
    """Where a zygote's own output goes."""
    return directory / "zygote.log"


EARLY = pytest.StashKey[EarlyStart]()
