"""How the test of a probe ended, from what its reporter wrote and how its process ended. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonnage.errors import TonnageError
from tonnage.profile.model import Cap, ProbeOutcome
from tonnage.profile.words import Need, memory_outcome, named_need

_NAMED = 3


class ProbeError(TonnageError):
    """What was asked for is no single test that can run."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of a probe's test and why; see ProbeResult for the rest."""

    outcome: ProbeOutcome
    reason: str
    test_s: float | None
    counted_mib: int | None
    need: Need


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How the test's process ended: its exit status, or the signal that ended it, by name."""

    status: int | None
    signal: str | None
    timed_out: bool = False


def read_ending(
    test: str,
    lines: Sequence[Mapping[str, Any]],
    end: ProcessEnd,
    output: str,
    cap: Cap,
    capacity_mib: int,
) -> Ending:
    """Put together how it ended. `output` is the last of what the process printed.

    Raises ProbeError when there was not exactly one test to run.
    """
    _refuse_wrong_count(test, lines, end, output)
    phases = _last_round(lines)
    test_s = sum(line["duration_s"] for line in phases) if phases else None
    counted = next((line["counted_mib"] for line in phases if line["counted_mib"]), None)
    failed = next((line for line in phases if line["outcome"] == "failed"), None)
    if failed is not None:
        outcome, reason = ProbeOutcome.FAILED, _first_line(failed["text"]) or failed["type"]
        said = f"{failed['text']}\n{failed['output']}\n{output}"
        outcome = memory_outcome(failed["type"], said) or outcome
        if "from pytest-timeout" in failed["text"]:
            outcome = ProbeOutcome.TIMEOUT
    elif end.timed_out:
        outcome, reason, said = ProbeOutcome.TIMEOUT, "it ran longer than it may", output
    elif not phases or phases[-1]["when"] != "teardown":
        how = end.signal or f"exit status {end.status}"
        said = _collection_text(lines) or output
        outcome = memory_outcome("", said) or ProbeOutcome.CRASHED
        reason = f"its process ended with {how}"
        if _collection_text(lines):
            reason = f"its file cannot be collected: {said.strip().splitlines()[-1].lstrip('E ')}"
            if outcome is ProbeOutcome.CRASHED:
                outcome = ProbeOutcome.FAILED
    else:
        skipped = [line for line in phases if line["outcome"] == "skipped"]
        is_skip = any(not line["wasxfail"] for line in skipped)
        outcome = ProbeOutcome.SKIPPED if is_skip else ProbeOutcome.PASSED
        reason = _first_line(skipped[0]["text"]) if is_skip else ""
        said = ""
    return Ending(outcome, reason, test_s, counted, named_need(said, cap, capacity_mib))


def _refuse_wrong_count(
    test: str, lines: Sequence[Mapping[str, Any]], end: ProcessEnd, output: str
) -> None:
    if _collection_text(lines) or end.timed_out:
        return
    collected = next((line for line in lines if line["kind"] == "collected"), None)
    if collected is None and end.status is not None and end.signal is None:
        said = [line for line in output.splitlines() if line.startswith("ERROR")]
        reason = said[0].removeprefix("ERROR:").strip() if said else "pytest did not collect it"
        raise ProbeError(reason, where=test, remedy=_remedy(output))
    if collected is not None and collected["count"] == 0:
        raise ProbeError(
            "no test is selected by this",
            where=test,
            remedy="Look at what -m, -k and the project's options leave: pytest --collect-only.",
        )
    if collected is not None and collected["count"] > 1:
        named = ", ".join(collected["tests"][:_NAMED])
        raise ProbeError(
            f"these are {collected['count']} tests ({named}, ...)"
            if collected["count"] > _NAMED
            else f"these are {collected['count']} tests ({named})",
            where=test,
            remedy="A probe runs one; name it with its parameters.",
        )


def _remedy(output: str) -> str:
    last = output.strip().splitlines()[-1:] or [""]
    return f"pytest said: {last[0]}" if last[0] else "Run it with pytest to see why."


def _collection_text(lines: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(line["text"] for line in lines if line["kind"] == "collect_failed")


def _last_round(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The phases of the last time that the test ran: plugins may run it again after a failure."""
    phases = [line for line in lines if line["kind"] == "phase"]
    setups = [at for at, line in enumerate(phases) if line["when"] == "setup"]
    return phases[setups[-1] :] if setups else phases


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
