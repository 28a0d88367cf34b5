from types import SimpleNamespace

import pytest

from tonnage.execute.verdict import made_up_reports, outcome_of, phase_in_hand, reason_of
from tonnage.record.outcomes import Outcome

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def report(when, outcome="passed", **more):
    return SimpleNamespace(
        when=when,
        outcome=outcome,
        passed=outcome == "passed",
        failed=outcome == "failed",
        skipped=outcome == "skipped",
        longrepr=None,
        **more,
    )


SETUP, CALL, TEARDOWN = (report(when) for when in ("setup", "call", "teardown"))


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([], None),
        ([SETUP, CALL, TEARDOWN], Outcome.PASSED),
        ([SETUP, report("call", "failed"), TEARDOWN], Outcome.FAILED),
        ([report("setup", "failed"), TEARDOWN], Outcome.ERROR),
        ([SETUP, CALL, report("teardown", "failed")], Outcome.ERROR),
        ([report("setup", "skipped"), TEARDOWN], Outcome.SKIPPED),
        ([SETUP, report("call", "skipped", wasxfail="why"), TEARDOWN], Outcome.XFAILED),
        ([SETUP, report("call", wasxfail="why"), TEARDOWN], Outcome.XPASSED),
        (
            [SETUP, report("call", "failed", tonnage_outcome="timeout"), TEARDOWN],
            Outcome.TIMEOUT,
        ),
        (
            [SETUP, report("call", "failed", tonnage_outcome="out_of_memory"), TEARDOWN],
            Outcome.OUT_OF_MEMORY,
        ),
    ],
)
def test_the_reports_of_an_attempt_add_up(reports, outcome):
    assert outcome_of(reports) is outcome


def test_a_timeout_of_pytest_timeout_is_a_timeout():
    crash = SimpleNamespace(message="Failed: Timeout (>1.0s) from pytest-timeout.")
    failed = report("call", "failed")
    failed.longrepr = SimpleNamespace(reprcrash=crash)
    assert outcome_of([SETUP, failed]) is Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("reports", "phase"),
    [
        ([], "setup"),
        ([SETUP], "call"),
        ([report("setup", "failed")], "teardown"),
        ([SETUP, CALL], "teardown"),
    ],
)
def test_the_phase_in_hand_follows_the_last_report(reports, phase):
    assert phase_in_hand(reports) == phase


@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_made_up_reports_end_with_a_teardown(phase):
    reports = made_up_reports(
        "a.py::t",
        ("a.py", 0, "t"),
        phase=phase,
        outcome=Outcome.CRASHED,
        text="crashed: SIGSEGV",
        stacks="in test_it",
        output=[("Captured stdout", "printed")],
    )
    assert reports[0].longreprtext == "crashed: SIGSEGV\n\nin test_it"
    assert all(report.capstdout == "printed" for report in reports)
    assert reports[-1].when == "teardown"
    assert outcome_of(reports) is Outcome.CRASHED
    assert reason_of(reports) == "crashed: SIGSEGV"


def test_an_attempt_that_passed_has_no_reason():
    assert reason_of([SETUP, CALL, TEARDOWN]) == ""
