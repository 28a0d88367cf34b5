"""What the reports of one attempt add up to, and the report for a test that could not make one."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import pytest

from tonnage.execute import pytest_internals
from tonnage.record.outcomes import Outcome

Phase = Literal["setup", "call", "teardown"]

# What pytest-rerunfailures makes of the failed report of a test that it runs again.
_RERUN = "rerun"


def outcome_of(reports: Sequence[Any]) -> Outcome | None:
    """The outcome of an attempt from its phases' reports; None when there are none.

    A failed phase decides; what the test process recognised (timeout, out-of-memory) or the
    supervisor saw (crash) is on the report as `tonnage_outcome`. What was run again does not count.
    """
    outcome: Outcome | None = None
    for report in reports:
        if report.outcome == _RERUN:
            continue  # an attempt inside this one that did not count
        if report.failed:
            special = getattr(report, "tonnage_outcome", None)
            if special is not None:
                return Outcome(special)
            if _is_pytest_timeout(report):
                return Outcome.TIMEOUT
            outcome = Outcome.FAILED if report.when == "call" else Outcome.ERROR
        elif report.skipped and outcome is None:
            outcome = Outcome.XFAILED if hasattr(report, "wasxfail") else Outcome.SKIPPED
        elif report.when == "call" and outcome is None:
            outcome = Outcome.XPASSED if hasattr(report, "wasxfail") else Outcome.PASSED
    return outcome


def reruns_of(reports: Sequence[Any]) -> int:
    """How often pytest-rerunfailures ran the test again."""
    return max((getattr(report, "rerun", 0) for report in reports), default=0)


def reason_of(reports: Sequence[Any]) -> str:
    """One line that says why the attempt did not pass; empty when it did."""
    for report in reports:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash is not None else str(report.longrepr)
            return cast(str, text).strip().partition("\n")[0]
    return ""


def made_up_reports(
    node_id: str,
    location: tuple[str, int | None, str],
    *,
    phase: Phase,
    outcome: Outcome,
    text: str,
    stacks: str = "",
    output: Sequence[tuple[str, str]] = (),
    duration_s: float = 0.0,
) -> list[pytest.TestReport]:
    """The reports a test would have made, had its process lived: a failure in `phase`.

    A failure in setup or teardown shows as an error. `stacks` are told with the reason, as they
    stand for its traceback. `output` is on both reports, as with pytest: some plugins look for it
    on the failed one, the JUnit writer on the last, which ends the test.
    """
    told = f"{text}\n\n{stacks}" if stacks else text
    failed = pytest.TestReport(
        nodeid=node_id,
        location=location,
        keywords={},
        outcome="failed",
        longrepr=pytest_internals.Explanation(told, text),
        when=phase,
        sections=list(output),
        duration=duration_s,
        tonnage_outcome=outcome.value,
    )
    if phase == "teardown":
        return [failed]
    ended = pytest.TestReport(
        nodeid=node_id,
        location=location,
        keywords={},
        outcome="passed",
        longrepr=None,
        when="teardown",
        sections=list(output),
    )
    return [failed, ended]


def as_rerun(reports: Sequence[Any]) -> list[Any]:
    """The failures of an attempt that does not count, in the form pytest-rerunfailures gave it."""
    failures = [report for report in reports if report.failed]
    for report in failures:
        report.outcome = _RERUN
    return failures


def phase_in_hand(reports: Sequence[Any]) -> Phase:
    """The phase a test was in when its process ended, from the reports that came before."""
    if not reports:
        return "setup"
    last = reports[-1]
    if last.when == "setup":
        return "call" if last.passed else "teardown"
    return "teardown"


def _is_pytest_timeout(report: Any) -> bool:
    # pytest-timeout fails a test with this text: "Timeout (>5.0s) from pytest-timeout."
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash is not None and "from pytest-timeout" in crash.message
