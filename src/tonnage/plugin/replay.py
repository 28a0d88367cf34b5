"""Feeding pytest's own hooks with what the test processes reported.

Every reporter a user has (terminal, JUnit, cache, third parties') sees the same hooks as in a
plain run, test by test, in the order in which tests end.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tonnage.execute import messages, pytest_internals
from tonnage.execute.collecting import Collection


@dataclass(frozen=True)
class RemoteItem:
    """Stands for a test that was collected in another process, where only its name is needed.

    Without slots: plugins attach things to items, and reach the session through them.
    """

    nodeid: str
    config: pytest.Config


class Replay:
    """Replays one session's messages into this session's hooks."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._config = session.config
        reporter = pytest_internals.terminal(self._config)
        if reporter is not None:
            pytest_internals.print_as_completed(reporter)

    def collection(self, collection: Collection) -> list[Any]:
        """Everything that was said while collecting, and the line that sums it up.

        Gives back the reports of what could not be collected.
        """
        deselected = 0
        refused = []
        for message in collection.told:
            match message:
                case messages.CollectReportMade(report):
                    restored = self.restore(report)
                    if not restored.passed:
                        refused.append(restored)
                    self._config.hook.pytest_collectreport(report=restored)
                case messages.Deselected(node_ids):
                    deselected += len(node_ids)
                    items = [RemoteItem(node_id, self._config) for node_id in node_ids]
                    self._config.hook.pytest_deselected(items=items)
                case messages.WarningRecorded():
                    self.warning(message)
                case _:
                    pass
        count = len(collection.tests)
        self._session.testscollected = count
        pytest_internals.collected(self._config, count + deselected, collection.lines)
        pytest_internals.remember_node_ids(
            self._config, [test.node_id for test in collection.tests]
        )
        return refused

    def restore(self, data: dict[str, Any]) -> Any:
        """The report object of a serialised report, with the tuples that JSON made lists of."""
        if isinstance(data.get("longrepr"), list):
            data["longrepr"] = tuple(data["longrepr"])
        for name in ("sections", "user_properties"):
            data[name] = [tuple(pair) for pair in data.get(name) or ()]
        if data.get("location") is not None:
            data["location"] = tuple(data["location"])
        return self._config.hook.pytest_report_from_serializable(config=self._config, data=data)

    def test(
        self,
        node_id: str,
        location: tuple[str, int | None, str],
        reports: Sequence[Any],
    ) -> None:
        """All reports of one test; those of attempts that do not count have outcome `rerun`."""
        hook = self._config.hook
        hook.pytest_runtest_logstart(nodeid=node_id, location=location)
        reruns = [report for report in reports if report.outcome == "rerun"]
        for report in reports:
            if noted := getattr(report, "tonnage_xml", None):
                pytest_internals.add_to_xml(self._config, report, noted)
            if reruns and report is reports[-1]:
                pytest_internals.add_reruns_to_xml(self._config, report, reruns)
            hook.pytest_runtest_logreport(report=report)
            if outcome := getattr(report, "tonnage_outcome", None):
                pytest_internals.name_failure_in_xml(self._config, report, outcome)
        hook.pytest_runtest_logfinish(nodeid=node_id, location=location)

    def warning(self, recorded: messages.WarningRecorded) -> None:
        """A warning, under its own category name; the class itself lives in the test process."""
        category = type(recorded.category, (Warning,), {})
        message = warnings.WarningMessage(
            message=category(recorded.text),
            category=category,
            filename=recorded.filename,
            lineno=recorded.line,
        )
        location = None if recorded.location is None else tuple(recorded.location)
        self._config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": recorded.when,
                "nodeid": recorded.node_id,
                "location": location,
            }
        )
