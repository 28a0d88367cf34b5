"""The pytest plugin inside zygote and test processes: what pytest's hooks say, as messages.

It is registered once, before anything is forked, so that a fork pays nothing for it; `sink` is
where messages go in this process.
"""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pytest

from tonnage.devices.visibility import CUDA_MASK
from tonnage.execute import messages, pytest_internals
from tonnage.execute.cap_note import is_held_to_cap, note_cap
from tonnage.execute.out_of_memory import is_out_of_memory, says_out_of_memory
from tonnage.execute.output import shorten_sections

# The declared timeout of an item, in seconds, and whether it struck.
TIMEOUT = pytest.StashKey[float]()
TIMED_OUT = pytest.StashKey[bool]()


class Relay:
    """Hooks that turn reports, warnings and deselections into messages for the controller."""

    def __init__(self) -> None:
        self.sink: Callable[[messages.Message], None] | None = None
        self._config: pytest.Config | None = None
        self._xml: pytest_internals.XmlRecorder | None = None
        self._test = -1
        self._before_call = self._after_call = ""

    def begin(self, test: int) -> None:
        """From here on reports belong to this test."""
        self._test = test
        self._before_call = self._after_call = ""

    def restore_directory(self) -> None:
        """Take back a working directory that the test's body changed and nothing restored.

        Only that: a directory set by a fixture of wider scope is there for the next test.
        """
        if self._after_call != self._before_call and _directory() == self._after_call:
            os.chdir(self._before_call)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config
        if config.pluginmanager.hasplugin("junitxml"):
            self._xml = pytest_internals.record_xml(config)

    @pytest.hookimpl(trylast=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._send(messages.CollectReportMade(self._serialised(report)))

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._send(messages.Deselected([item.nodeid for item in items]))

    def pytest_warning_recorded(
        self, warning_message: Any, when: str, nodeid: str, location: Any
    ) -> None:
        if when == "config":
            return  # the controller has configured the same plugins, and recorded the same
        self._send(
            messages.WarningRecorded(
                category=warning_message.category.__name__,
                text=str(warning_message.message),
                filename=warning_message.filename,
                line=warning_message.lineno,
                when=when,
                node_id=nodeid,
                location=list(location) if location else None,
            )
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        self._before_call = _directory()
        try:
            return (yield)
        finally:
            self._after_call = _directory()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        report = yield
        if report.failed and call.excinfo is not None:
            if item.stash.get(TIMED_OUT, False):
                report.tonnage_outcome = "timeout"
            elif is_out_of_memory(call.excinfo.typename, str(call.excinfo.value)) or (
                # The engine that a test has started may say it, while the test only sees it gone.
                os.environ.get(CUDA_MASK) and any(map(says_out_of_memory, _output(report)))
            ):
                report.tonnage_outcome = "out_of_memory"
                message = str(call.excinfo.value)
                report.tonnage_capped = is_held_to_cap(os.environ, message)
                note_cap(item, report, message)
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        assert self._config is not None
        pytest_internals.fail_with_its_subtests(self._config, report)
        if self._xml is not None and (noted := self._xml.taken()):
            report.tonnage_xml = noted
        self._send(messages.ReportMade(self._test, shorten_sections(self._serialised(report))))

    def _serialised(self, report: Any) -> dict[str, Any]:
        assert self._config is not None
        data: dict[str, Any] = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report
        )
        return data

    def _send(self, message: messages.Message) -> None:
        if self.sink is not None:
            self.sink(message)


def _output(report: Any) -> Iterator[str]:
    return (text for title, text in report.sections if title.startswith("Captured std"))


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - twice per test, and a text is all we need
    except FileNotFoundError:
        return ""
