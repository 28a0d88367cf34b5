"""A pytest session that shows a recorded run: its reports come from the journal.

Nothing is collected and nothing runs; every reporter of pytest sees what it saw then.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, cast

import pytest

from tonnage.execute import pytest_internals
from tonnage.plugin.replay import Replay
from tonnage.record.events import AttemptFinished, ReportRecorded
from tonnage.record.outcomes import Outcome
from tonnage.record.reading import Journal
from tonnage.report.summary import summarise, summary_lines

_Outcome = Literal["passed", "failed", "skipped"]
_Phase = Literal["setup", "call", "teardown"]
# What a failure is called when its phase and pytest's own words do not tell.
_OF_OUR_OWN = {Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.CRASHED, Outcome.LOST}


class Player:
    """The plugin that plays one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._said: dict[tuple[str, int], list[ReportRecorded]] = {}
        self._finished: dict[str, AttemptFinished] = {}  # each test's last attempt, as they ended
        self._retried_for: dict[str, Outcome] = {}  # what an attempt that does not count came to
        for event in journal.events:
            if isinstance(event, ReportRecorded):
                self._said.setdefault((event.node_id, event.attempt), []).append(event)
            elif isinstance(event, AttemptFinished):
                earlier = self._finished.pop(event.node_id, None)
                if earlier is not None:
                    self._retried_for[event.node_id] = earlier.outcome
                self._finished[event.node_id] = event

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        session.items = []
        config, info = session.config, self._journal.info
        reporter = pytest_internals.terminal(config)
        if reporter is not None:
            pytest_internals.print_as_completed(reporter)
            began = datetime.fromtimestamp(info.started_s).astimezone()
            reporter.write_line(f"run {info.run} of {began:%Y-%m-%d %H:%M:%S} in {info.directory}")
        for (node_id, attempt), said in self._said.items():
            if attempt == 0:
                for each in said:
                    config.hook.pytest_collectreport(report=_collect_report(node_id, each))
        session.testscollected = self._journal.totals.collected
        pytest_internals.collected(config, session.testscollected, [])
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        replay = Replay(session)
        for event in self._finished.values():
            location = _location(event.node_id)
            replay.test(event.node_id, location, [*self._reports(event, location)])
        session.shouldfail = session.shouldstop = False  # all of it is shown
        reporter = pytest_internals.terminal(session.config)
        if reporter is not None:
            last = self._journal.events[-1:]
            pytest_internals.set_duration(reporter, last[0].at_s if last else 0.0)
        return True

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        lines = [*self._ending(), *summary_lines(summarise(self._journal.events))]
        if lines:
            terminalreporter.section("tonnage")
            for line in lines:
                terminalreporter.write_line(line)

    def _ending(self) -> Iterator[str]:
        totals = self._journal.totals
        yield from (f"note: {remark}" for remark in self._journal.remarks())
        if totals.exit_status is None:
            yield "note: the run did not record its end: it goes on, or was cut off"
        if (left := totals.collected - totals.ended) > 0:
            yield f"note: {left} of {totals.collected} tests did not finish"

    def _reports(
        self, event: AttemptFinished, location: tuple[str, int | None, str]
    ) -> Iterator[pytest.TestReport]:
        """A test's reports: those recorded, of attempts that do not count too, and plain passes."""
        recorded_ones = self._said.get((event.node_id, event.attempt), ())
        for each in recorded_ones:
            if each.outcome == "rerun":
                yield _report(each, location, self._retried_for.get(event.node_id))
        said = {each.phase: each for each in recorded_ones if each.outcome != "rerun"}
        passed_for_s = max(0.0, event.duration_s - sum(each.duration_s for each in said.values()))
        for phase in _phases(event, said):
            if (recorded := said.get(phase)) is not None:
                yield _report(recorded, location, event.outcome)
            else:
                duration_s = passed_for_s if phase == "call" else 0.0
                yield _plain(event.node_id, location, phase, duration_s)


def _phases(event: AttemptFinished, said: dict[str, ReportRecorded]) -> Sequence[_Phase]:
    """The phases the attempt came to."""
    setup = said.get("setup")
    if setup is not None and setup.outcome != "passed":
        return ("setup", "teardown")
    if not said and event.outcome.is_failure:
        return ("setup",)  # cut off before its reports were recorded
    return ("setup", "call", "teardown")


def _report(
    said: ReportRecorded, location: tuple[str, int | None, str], outcome: Outcome | None
) -> pytest.TestReport:
    longrepr: Any = None
    if said.place is not None:
        longrepr = (*said.place, said.text)
    elif said.text:
        longrepr = pytest_internals.Explanation(said.text, said.message)
    extra: dict[str, Any] = {} if said.xfail is None else {"wasxfail": said.xfail}
    if outcome in _OF_OUR_OWN and said.outcome != "passed":
        extra["tonnage_outcome"] = outcome.value
    return pytest.TestReport(
        nodeid=said.node_id,
        location=location,
        keywords={},
        outcome=cast(_Outcome, said.outcome),
        longrepr=longrepr,
        when=cast(_Phase, said.phase),
        sections=list(said.sections),
        duration=said.duration_s,
        user_properties=list(said.properties),
        **extra,
    )


def _plain(
    node_id: str, location: tuple[str, int | None, str], phase: _Phase, duration_s: float
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=node_id,
        location=location,
        keywords={},
        outcome="passed",
        longrepr=None,
        when=phase,
        duration=duration_s,
    )


def _collect_report(node_id: str, said: ReportRecorded) -> pytest.CollectReport:
    longrepr: Any = (*said.place, said.text) if said.place is not None else None
    if longrepr is None:
        longrepr = pytest_internals.Explanation(said.text, said.message)
    return pytest.CollectReport(
        nodeid=node_id,
        outcome=cast(_Outcome, said.outcome),
        longrepr=longrepr,
        result=[],
        sections=list(said.sections),
    )


def _location(node_id: str) -> tuple[str, int | None, str]:
    path, _, rest = node_id.partition("::")
    name, bracket, parameters = rest.partition("[")
    return path, None, name.replace("::", ".") + bracket + parameters
