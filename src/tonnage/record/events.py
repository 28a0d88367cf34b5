"""Everything that happens in a run, as frozen values in the order it happened.

Times (`at_s`) are seconds since the run began. Memory is whole MiB. GPUs are named by UUID.
Reports (live view, summary, trace) are functions of these events and of nothing else.
"""

from dataclasses import dataclass

from tonnage.record.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class GpuDescription:
    """One GPU of the run's machine. `label` is what people read, such as `GPU 0`."""

    uuid: str
    label: str
    name: str
    capacity_mib: int


@dataclass(frozen=True, slots=True)
class PlannedTest:
    """One collected test and what it needs. `reserved_mib` is per GPU; None means a whole card.

    `declared_mib` is what its markers say per GPU (None: nothing); `estimate_s` None is unknown.
    """

    node_id: str
    gpus: int
    reserved_mib: int | None
    declared_mib: int | None
    cpus: int
    timeout_s: float | None
    estimate_s: float | None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run begins; `wall_s` is the epoch time of `at_s` = 0."""

    at_s: float
    wall_s: float
    gpus: tuple[GpuDescription, ...]
    slots: int
    gpu_note: str  # where the GPUs come from, or why there are none


@dataclass(frozen=True, slots=True)
class TestsCollected:
    """Collection is over."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    at_s: float
    tests: tuple[PlannedTest, ...]


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """One test begins in a process. `slot` is the lowest free lane, for drawing."""

    at_s: float
    node_id: str
    attempt: int
    gpus: tuple[str, ...]
    reserved_mib: int
    slot: int


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """One test ended. `peak_mib` is the highest VRAM seen on any one of its GPUs, None if unseen.

    `method` says how the peak was obtained: process tree, device delta, simulated. `reruns` is how
    often a plugin ran the test again within this attempt.
    """

    at_s: float
    node_id: str
    attempt: int
    outcome: Outcome
    duration_s: float
    peak_mib: int | None
    method: str | None
    reason: str
    reruns: int = 0


@dataclass(frozen=True, slots=True)
class AttemptSlow:
    """A test has taken this long, and still runs."""

    at_s: float
    node_id: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class MemoryLeaked:
    """GPU memory that did not come back after a test's process had ended: MiB on one GPU."""

    at_s: float
    node_id: str
    gpu: str
    leaked_mib: int


@dataclass(frozen=True, slots=True)
class ReportRecorded:
    """What one phase of an attempt had to say, when it did more than pass. Texts are for people.

    `phase` is setup, call or teardown, or collect for a file that could not be collected (attempt
    0). `outcome` is pytest's: passed, failed, skipped. `text` is the traceback or the reason of a
    skip, `message` its one line, `place` where a test was skipped. `xfail` is the reason of an
    expected failure. `sections` are what was captured, `properties` what `record_property` noted.
    """

    at_s: float
    node_id: str
    attempt: int
    phase: str
    outcome: str
    duration_s: float
    text: str
    message: str = ""
    place: tuple[str, int] | None = None
    xfail: str | None = None
    sections: tuple[tuple[str, str], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class GpuSampled:
    """One reading of one GPU. `used_mib` None: the driver did not answer this time.

    `foreign_mib` is what processes outside this run hold; `reserved_mib` what the run set aside.
    """

    at_s: float
    gpu: str
    used_mib: int | None
    foreign_mib: int
    reserved_mib: int


@dataclass(frozen=True, slots=True)
class EndPredicted:
    """The scheduler expects the last test to end at `end_s`."""

    at_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the user should know that belongs to no single test."""

    at_s: float
    message: str


@dataclass(frozen=True, slots=True)
class BoundMeasured:
    """By the durations just measured, no schedule could have ended before `seconds`.

    `resource` says what sets that limit, in words.
    """

    at_s: float
    seconds: float
    resource: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over, with the exit status pytest will return."""

    at_s: float
    exit_status: int


Event = (
    RunStarted
    | TestsCollected
    | AttemptStarted
    | AttemptFinished
    | AttemptSlow
    | MemoryLeaked
    | ReportRecorded
    | GpuSampled
    | EndPredicted
    | Noticed
    | BoundMeasured
    | RunFinished
)
