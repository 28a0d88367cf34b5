"""The record of a packed run, as it happens. It never hurts the run: what fails is said once."""

import os
import platform
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import tonnage
from tonnage.clock import Clock
from tonnage.plugin.recorded_reports import ReportTexts
from tonnage.plugin.rerun import read_rerun, without_rerun
from tonnage.record import events
from tonnage.record.journal import JournalWriter, RunInfo
from tonnage.record.measured_file import add_measured
from tonnage.record.prune import KEEP, prune
from tonnage.record.redact import redacted
from tonnage.record.store import new_run
from tonnage.record.totals import totals_of

# These come many a second, and are written together at the end of each step of the run's loop.
_ROUTINE = (
    events.AttemptStarted,
    events.AttemptFinished,
    events.ReportRecorded,
    events.GpuSampled,
    events.EndPredicted,
)


class Recording:
    """Writes one run's journal. `notify` is given the one warning when that fails."""

    def __init__(
        self, config: pytest.Config, run_id: str, clock: Clock, notify: Callable[[str], None]
    ) -> None:
        self._root = config.rootpath
        self._notify = notify
        self._texts = ReportTexts()
        self._attempts: dict[str, int] = {}  # the latest of each test that was tried again
        self._at_s = 0.0
        self._writer: JournalWriter | None = None
        self._run_id = run_id
        try:
            directory = new_run(self._root, run_id)
            self._writer = JournalWriter(directory, _info(config, run_id, clock.wall_s()))
        except OSError as error:
            self._give_up(error)

    def event(self, event: events.Event) -> None:
        """Something happened."""
        self._at_s = event.at_s
        if isinstance(event, events.AttemptStarted | events.AttemptFinished) and event.attempt > 1:
            self._attempts[event.node_id] = event.attempt
        if self._writer is None:
            return
        try:
            self._writer.add(event)
            if not isinstance(event, _ROUTINE):
                self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def not_collected(self, reports: Sequence[Any]) -> None:
        """These are the reports of what could not be collected."""
        for report in reports:
            self._reports(report.nodeid, 0, [report])
        self.flush()

    def reports(self, node_id: str, reports: Sequence[Any]) -> None:
        """A test's attempt is over; these are its reports."""
        self._reports(node_id, self._attempts.get(node_id, 1), reports)

    def _reports(self, node_id: str, attempt: int, reports: Sequence[Any]) -> None:
        if self._writer is not None:
            for event in self._texts.of(self._at_s, node_id, attempt, reports):
                self.event(event)

    def flush(self) -> None:
        """Write what has happened so far."""
        if self._writer is None:
            return
        try:
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def finish(self, happened: Sequence[events.Event]) -> None:
        """Close the record of a run whose events these were, and remove what is too old."""
        writer = self._writer
        if writer is None:
            return
        try:
            writer.finish(totals_of(happened))
            add_measured(self._root, self._run_id, happened)
            prune(self._root, KEEP, sparing=self._run_id)
        except OSError as error:
            self._give_up(error)
        self.close()

    def close(self) -> None:
        """Let go of the journal, finished or not."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _give_up(self, error: OSError) -> None:
        self.close()
        place = Path(error.filename).name if error.filename else "its journal"
        self._notify(f"the run is not recorded, or not to its end: {error.strerror} ({place})")


def _info(config: pytest.Config, run_id: str, wall_s: float) -> RunInfo:
    arguments = [str(argument) for argument in config.invocation_params.args]
    rerun = read_rerun(config)
    return RunInfo(
        run=run_id,
        started_s=wall_s,
        rootdir=str(config.rootpath),
        directory=str(config.invocation_params.dir),
        arguments=redacted(without_rerun(arguments)),
        versions=(
            ("tonnage", tonnage.__version__),
            ("pytest", pytest.__version__),
            ("python", platform.python_version()),
        ),
        parent=None if rerun is None else rerun.parent,
        pid=os.getpid(),
        host=socket.gethostname(),
    )
