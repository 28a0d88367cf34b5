"""Outcomes of an attempt, and how each counts."""

from enum import Enum


class Outcome(str, Enum):
    """How one execution of one test ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"  # setup or teardown failed, or the test could never start
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"  # the process ended by a signal or an exit nobody asked for
    LOST = "lost"  # the machine or agent that ran it is gone

    @property
    def is_failure(self) -> bool:
        """Whether this outcome fails the run."""
        return self not in _HARMLESS


_HARMLESS = frozenset({Outcome.PASSED, Outcome.SKIPPED, Outcome.XFAILED, Outcome.XPASSED})
