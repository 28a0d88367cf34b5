"""`--dry-run`: the packing plan instead of the run."""

import os
from typing import Any

import pytest

from tonnage.config import Settings
from tonnage.devices.cpus import available_cpus
from tonnage.devices.host_memory import host_memory_mib
from tonnage.devices.open import open_devices
from tonnage.execute.collected import collected_tests
from tonnage.execute.jobs import describe_gpus, machine_of, run_tests
from tonnage.execute.plan import Plan, make_plan, plan_lines
from tonnage.execute.settled import SETTLED
from tonnage.plugin.options import Options
from tonnage.record.measured_file import load_measured


class DryRunPlugin:
    """Collects as usual, plans, and runs nothing. `plan` is there after the session."""

    def __init__(self, config: pytest.Config, options: Options, settings: Settings) -> None:
        self._config = config
        self._options = options
        self._settings = settings
        self._devices = open_devices(config.stash[SETTLED].gpu_spec(), os.environ)
        self._slots = available_cpus() if options.slots == "auto" else options.slots
        self.plan: Plan | None = None

    def pytest_report_header(self) -> str:
        return f"tonnage: dry run; {self._devices.note}; {self._slots} slots"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed and not self._config.option.continue_on_collection_errors:
            return None  # pytest's own loop says what is wrong
        gpus = describe_gpus(self._devices.gpus)
        machine = machine_of(gpus, self._slots, host_memory_mib(), self._settings.vram_margin)
        tests = run_tests(
            collected_tests(session),
            gpus,
            machine,
            isolation=self._options.isolation,
            undeclared=self._options.undeclared,
            measured=load_measured(self._config.rootpath),
        )
        self.plan = make_plan(tests, machine, gpus)
        return True

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.plan is not None:
            terminalreporter.section("packing plan")
            for line in plan_lines(self.plan, every_test=self._config.option.verbose > 0):
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        self._devices.close()
