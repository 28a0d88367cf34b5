"""`--pack` inside pytest: the user's own session becomes the controller of a packed run."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tonnage.clock import SystemClock
from tonnage.config import Settings
from tonnage.devices.cpus import available_cpus
from tonnage.devices.host_memory import host_memory_mib
from tonnage.devices.open import open_devices
from tonnage.errors import TonnageError
from tonnage.execute import messages, pytest_internals
from tonnage.execute.caller import RunSettings, StopRun
from tonnage.execute.caps import Caps
from tonnage.execute.controller import Controller
from tonnage.execute.mps import MpsDaemon
from tonnage.execute.settled import SAID, SETTLED
from tonnage.execute.undeclared import outgrown
from tonnage.plugin.early import EARLY, shows_output
from tonnage.plugin.nodes import Nodes
from tonnage.plugin.options import Options
from tonnage.plugin.recording import Recording
from tonnage.plugin.replay import Replay
from tonnage.plugin.screen import Screen
from tonnage.record import events
from tonnage.record.measured_file import load_measured
from tonnage.report.summary import summarise, summary_lines
from tonnage.report.trace import write_trace


class PackPlugin:
    """Collects in the zygote, runs through the controller, reports through pytest's hooks."""

    def __init__(
        self, config: pytest.Config, options: Options, settings: Settings, notices: list[str]
    ) -> None:
        self._config = config
        self._options = options
        self._notices = notices
        self._clock = SystemClock()
        self._devices = open_devices(config.stash[SETTLED].gpu_spec(), os.environ)
        cpus = available_cpus()
        self._slots = cpus if options.slots == "auto" else options.slots
        self._settings = settings
        self._early = config.stash[EARLY]
        if self._early.ended:
            who = ", ".join(self._early.ended)
            notices.append(f"a run that was killed had left processes behind, now ended: {who}")
        self._run_directory = self._early.directory
        self._mps: MpsDaemon | None = None
        self._nodes = Nodes(config, workers=self._slots, run_id=self._early.run_id)
        self._events: list[events.Event] = []
        self._recording: Recording | None = None
        self._controller: Controller | None = None
        self._replay: Replay | None = None
        self._screen: Screen | None = None
        self._session: pytest.Session | None = None
        self._traced: str | None = None

    # -------------------------------------------------------------- pytest's hooks

    def pytest_report_header(self) -> list[str]:
        slots = f"{self._slots} slot" + ("" if self._slots == 1 else "s")
        return [
            f"tonnage: {self._devices.note}; {slots}",
            *map("tonnage: {}".format, self._notices),
        ]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        session.items = []
        if self._options.vram_caps == "mps" and self._devices.gpus:
            try:
                self._mps = MpsDaemon(self._devices, self._run_directory, os.environ)
            except TonnageError as error:
                raise pytest.UsageError(str(error)) from None
        run_id = self._early.run_id
        self._recording = Recording(self._config, run_id, self._clock, self._notice)
        self._controller = Controller(self._run_settings(), self._devices, self, self._clock)
        self._controller.open()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        reporter = pytest_internals.terminal(self._config)
        if reporter is not None:
            pytest_internals.begin_collection(reporter)
        self._replay = Replay(session)
        assert self._controller is not None
        try:
            collection = self._controller.collect()
        except TonnageError as error:
            pytest.exit(str(error), pytest.ExitCode.INTERNAL_ERROR)
        self._config.stash[SAID] = collection.said
        refused = self._replay.collection(collection)
        if self._recording is not None:
            self._recording.not_collected(refused)
        if collection.internal_error is not None:
            pytest.exit(collection.internal_error, pytest.ExitCode.INTERNAL_ERROR)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        if not collection.is_complete:
            pytest.exit(collection.stop_reason or "collection stopped", collection.exit_status)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        count = session.testsfailed
        if count and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted(f"{count} error{'' if count == 1 else 's'} during collection")
        self._screen = Screen(self._config, self._clock)
        self._screen.start(self._events)
        assert self._controller is not None
        # What is loaded by now stays: neither the run nor the end of the session need look at it
        # again for garbage.
        gc.freeze()
        try:
            self._controller.execute()
        except StopRun as stop:
            self._screen.stop()
            if stop.signal_number == signal.SIGINT:
                raise KeyboardInterrupt from None
            if stop.signal_number is not None:
                pytest.exit(f"ended by {stop.reason}", 128 + stop.signal_number)
            if stop.exits:
                pytest.exit(stop.reason, stop.exit_status)
            raise session.Interrupted(stop.reason) from None
        except TonnageError as error:
            self._screen.stop()
            pytest.exit(str(error), pytest.ExitCode.INTERNAL_ERROR)
        finally:
            self._screen.stop()
        if self._nodes.are_awaited():
            self._controller.gather(session.testsfailed > 0)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self._controller is not None:
            for notice in outgrown(self._events):
                self._notice(notice)
            self._controller.finish(int(exitstatus))
        if self._recording is not None:
            self._recording.finish(self._events)
        if self._options.pack_trace is not None:
            # Here, not in the summary: a run that is ended by a signal has none.
            self._traced = _trace(self._options.pack_trace, self._events)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, Any] | None:
        """Show attempts that do not count as what they are, and a pass after one as such."""
        if report.outcome == "rerun":
            return "rerun", "R", ("RERUN", {"yellow": True})
        note = getattr(report, "tonnage_note", None)
        if note is not None and report.when == "call" and report.passed:
            return "passed", ".", f"PASSED ({note})"
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        lines = summary_lines(summarise(self._events))
        if lines:
            terminalreporter.section("tonnage")
            for line in lines:
                terminalreporter.write_line(line)
        if self._traced is not None:
            terminalreporter.write_line(self._traced)

    def pytest_unconfigure(self) -> None:
        if self._recording is not None:
            self._recording.close()
        if self._controller is not None:
            self._controller.close()
        if self._mps is not None:
            self._mps.close()
        self._devices.close()
        self._early.end()

    def _run_settings(self) -> RunSettings:
        config, options, settings = self._config, self._options, self._settings
        params = config.invocation_params
        base_temp = pytest_internals.base_temp(config) or self._run_directory
        cards = self._devices.own_directory
        return RunSettings(
            opening=messages.OpenSession(
                args=[str(arg) for arg in params.args],
                argv=list(sys.argv),
                directory=str(params.dir),
                parent=os.getpid(),
                run_directory=str(self._run_directory),
                base_temp=str(base_temp),
                worker_input=self._nodes.configure(),
                settled=config.stash[SETTLED].to_json(),
                environment=self._devices.base_environment,
                cleanup=[str(path) for path in (self._run_directory, cards) if path],
            ),
            launched=self._early.launched,
            run_id=self._early.run_id,
            slots=self._slots,
            memory_mib=host_memory_mib(),
            isolation=options.isolation,
            undeclared=options.undeclared,
            vram_margin=settings.vram_margin,
            timeout_grace_s=settings.timeout_grace_s,
            interrupt_grace_s=settings.interrupt_grace_s,
            slow_after_s=settings.slow_after_s,
            sample_interval_s=settings.sample_interval_s,
            inherit_output=shows_output(config.option),
            caps=self._caps(),
            measured=load_measured(config.rootpath),
        )

    def _caps(self) -> Caps:
        return Caps(
            mode=self._options.vram_caps,
            capacities_mib={gpu.uuid: gpu.capacity_mib for gpu in self._devices.gpus},
            user=os.environ,
            mps={} if self._mps is None else self._mps.environment,
        )

    # -------------------------------------------------------------- the run's listener

    def on_event(self, event: events.Event) -> None:
        """Keep it for the reports, record it, and show it."""
        self._events.append(event)
        if self._recording is not None:
            self._recording.event(event)
        if self._screen is not None:
            self._screen.feed(event)

    def restore_report(self, data: dict[str, Any]) -> Any:
        """A report object from its serialised form."""
        assert self._replay is not None
        return self._replay.restore(data)

    def on_reports(
        self, node_id: str, location: tuple[str, int | None, str], reports: Sequence[Any]
    ) -> None:
        """Pass a finished test's reports to pytest's hooks."""
        assert self._replay is not None
        if self._recording is not None:
            self._recording.reports(node_id, reports)
        self._replay.test(node_id, location, reports)

    def on_warning(self, warning: messages.WarningRecorded) -> None:
        """Pass a warning to pytest's hooks."""
        assert self._replay is not None
        self._replay.warning(warning)

    def on_status(self, lines: Sequence[str]) -> None:
        """Show what the run is doing."""
        assert self._screen is not None
        self._screen.say(lines)

    def asks_for_status(self) -> bool:
        """Whether somebody pressed the key for it."""
        assert self._screen is not None
        return self._screen.was_asked()

    def on_worker_output(self, worker_output: str) -> None:
        """Pass what plugins published in a test process to their like in this session."""
        self._nodes.down(worker_output)

    def wants_to_stop(self) -> bool:
        """Whether pytest has seen enough failures."""
        assert self._session is not None
        return bool(self._session.shouldfail or self._session.shouldstop)

    def on_hangup(self) -> None:
        """Report to the files alone if the terminal was closed."""
        assert self._screen is not None
        self._screen.hang_up()

    def on_tick(self) -> None:
        """Redraw, and let nothing that happened wait to be recorded."""
        assert self._screen is not None
        self._screen.tick()
        if self._recording is not None:
            self._recording.flush()

    def _notice(self, text: str) -> None:
        at_s = self._events[-1].at_s if self._events else 0.0
        self.on_event(events.Noticed(at_s, text))


def _trace(path: Path, happened: Sequence[events.Event]) -> str:
    """Write the trace; the line that says so, or why not: the run stands without it."""
    try:
        write_trace(path, happened)
    except TonnageError as error:
        return f"tonnage: {error}"
    return f"trace: {path}"
