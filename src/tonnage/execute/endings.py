"""How the end of an attempt is told: why a test was lost, and what else its process did. Pure."""

import os
import signal

from tonnage.execute import happenings, messages
from tonnage.execute.family import signal_name
from tonnage.execute.jobs import RunTest
from tonnage.record.outcomes import Outcome
from tonnage.units import plural


def why_lost(
    test: RunTest,
    loss: happenings.TestLost,
    ended: messages.ProcessEnded | None,
    *,
    host_memory_ran_out: bool,
) -> str:
    """Why a test has no result of its own; `ended` None: nobody saw its process end."""
    if loss.outcome is Outcome.TIMEOUT:
        its = "its declared" if test.requirement.timeout_s is not None else "the run's"
        return (
            f"timeout: ran longer than {its} {test.limit_s:g} s, did not stop, "
            "and was ended with everything it had started"
        )
    if loss.outcome is Outcome.LOST or ended is None:
        return "lost: the process that starts the tests is gone, and this test with it"
    how = ended.problem or _how_it_ended(ended.wait_status, host_memory_ran_out)
    reason = f"crashed: {how}"
    if ended.fixtures_torn_down is not None:
        reason += (
            "; the fixtures it shared were torn down"
            if ended.fixtures_torn_down
            else "; tearing down the fixtures it shared failed"
        )
    if loss.going_on:
        verb = "goes" if loss.going_on == 1 else "go"
        reason += f"; {plural(loss.going_on, 'test')} of its batch {verb} on in a new process"
    return reason


def dirty_end(wait_status: int) -> str | None:
    """How a process ended badly after its last test, as "died of SIGABRT"; None: it did not."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code == 0:
        return None
    return f"died of {signal_name(-code)}" if code < 0 else f"exited with status {code}"


def _how_it_ended(wait_status: int, host_memory_ran_out: bool) -> str:
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"the process exited with status {code} in the middle of the test"
    if code == -signal.SIGKILL and host_memory_ran_out:
        return "host memory ran out, and the kernel killed the process"
    return f"the process died of {signal_name(-code)}"
