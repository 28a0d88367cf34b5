"""What a run comes to in a few figures: its tests by last outcome, and its makespan. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    RunFinished,
    TestsCollected,
)
from tonnage.record.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of a run. `counts` has outcome and number, by last attempts.

    `makespan_s` runs from the first start to the last end. `exit_status` None: the end of the run
    was not recorded.
    """

    collected: int
    counts: tuple[tuple[str, int], ...]
    makespan_s: float
    exit_status: int | None

    @property
    def ended(self) -> int:
        """How many tests have an outcome."""
        return sum(count for _, count in self.counts)


def totals_of(events: Iterable[Event]) -> Totals:
    """The figures of the run these events describe."""
    outcomes: dict[str, Outcome] = {}
    collected = 0
    begin_s: float | None = None
    end_s = 0.0
    status: int | None = None
    for event in events:
        match event:
            case TestsCollected():
                collected = len(event.tests)
            case AttemptStarted():
                begin_s = event.at_s if begin_s is None else begin_s
            case AttemptFinished():
                outcomes[event.node_id] = event.outcome
                end_s = event.at_s
            case RunFinished():
                status = event.exit_status
    counts = dict.fromkeys(Outcome, 0)
    for outcome in outcomes.values():
        counts[outcome] += 1
    makespan_s = 0.0 if begin_s is None else max(0.0, end_s - begin_s)
    return Totals(
        collected,
        tuple((outcome.value, count) for outcome, count in counts.items() if count),
        makespan_s,
        status,
    )


def last_attempts(events: Iterable[Event]) -> dict[str, AttemptFinished]:
    """The last attempt of each test that has ended."""
    return {event.node_id: event for event in events if isinstance(event, AttemptFinished)}
