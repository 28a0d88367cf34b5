"""The state of a run as a person watches it: a fold over events, without clock or terminal."""

from collections import Counter
from dataclasses import dataclass

from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    EndPredicted,
    Event,
    GpuDescription,
    GpuSampled,
    Noticed,
    PlannedTest,
    RunFinished,
    RunStarted,
    TestsCollected,
)
from tonnage.record.outcomes import Outcome


@dataclass(slots=True)
class GpuProgress:
    """One GPU at its last reading, in MiB. `used_mib` None: the driver did not answer.

    `used_mib` counts everyone's memory, `foreign_mib` what is not this run's.
    """

    gpu: GpuDescription
    used_mib: int | None = None
    foreign_mib: int = 0
    reserved_mib: int = 0


@dataclass(frozen=True, slots=True)
class RunningAttempt:
    """A test that runs now, since `started_s` (seconds since the run began)."""

    node_id: str
    attempt: int
    gpus: tuple[str, ...]
    reserved_mib: int
    started_s: float
    timeout_s: float | None


class Progress:
    """Feed it every event in order; read its attributes at any moment.

    A test that is tried again counts as running, then by its last outcome alone.
    """

    def __init__(self) -> None:
        self.gpus: dict[str, GpuProgress] = {}
        self.gpu_note = ""
        self.slots = 0
        self.running: dict[str, RunningAttempt] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.counts: Counter[Outcome] = Counter()
        self.retries = 0
        self.notices: list[str] = []
        self.predicted_end_s: float | None = None
        self.is_finished = False
        self._planned: dict[str, PlannedTest] = {}

    @property
    def total(self) -> int:
        """How many tests were collected."""
        return len(self._planned)

    @property
    def queued(self) -> int:
        """How many tests neither run nor have ended."""
        return max(0, self.total - len(self.running) - len(self.outcomes))

    @property
    def failed(self) -> int:
        """How many tests' last outcome fails the run."""
        return sum(count for outcome, count in self.counts.items() if outcome.is_failure)

    def feed(self, event: Event) -> None:
        """Take the next event in."""
        match event:
            case RunStarted():
                self.gpus = {gpu.uuid: GpuProgress(gpu) for gpu in event.gpus}
                self.gpu_note, self.slots = event.gpu_note, event.slots
            case TestsCollected():
                self._planned = {test.node_id: test for test in event.tests}
            case AttemptStarted():
                self._started(event)
            case AttemptFinished():
                self.running.pop(event.node_id, None)
                self._forget_outcome(event.node_id)
                self.outcomes[event.node_id] = event.outcome
                self.counts[event.outcome] += 1
            case GpuSampled():
                if (gpu := self.gpus.get(event.gpu)) is not None:
                    gpu.used_mib = event.used_mib
                    gpu.foreign_mib = event.foreign_mib
                    gpu.reserved_mib = event.reserved_mib
            case EndPredicted():
                self.predicted_end_s = event.end_s
            case Noticed():
                self.notices.append(event.message)
            case RunFinished():
                self.is_finished = True

    def _started(self, event: AttemptStarted) -> None:
        self._forget_outcome(event.node_id)
        if event.attempt > 1:
            self.retries += 1
        planned = self._planned.get(event.node_id)
        self.running[event.node_id] = RunningAttempt(
            event.node_id,
            event.attempt,
            event.gpus,
            event.reserved_mib,
            event.at_s,
            planned.timeout_s if planned else None,
        )

    def _forget_outcome(self, node_id: str) -> None:
        outcome = self.outcomes.pop(node_id, None)
        if outcome is not None:
            self.counts[outcome] -= 1
