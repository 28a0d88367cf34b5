"""What controller, zygote and test processes say to one another, as frozen values.

On the wire a message is a JSON object: its class name under `is`, its fields beside it.
"""

from dataclasses import dataclass, field
from typing import Any

from tonnage.markers.requirement import Requirement

# ---------------------------------------------------------------- controller to zygote


@dataclass(frozen=True, slots=True)
class OpenSession:
    """The first message: what to collect, and where to keep things.

    `parent` is the sender's pid. `settled` is execute.settled's, as JSON. `worker_input` is what
    plugins find as `config.workerinput` (execute.plain_data). `environment` is added to the
    process's own. `refused`, by file: report a collection error with this text instead of
    importing the file. `excluded`: files to pass over. `cleanup`: directories to remove should
    the sender die.
    """

    args: list[str]
    argv: list[str]
    directory: str
    parent: int
    run_directory: str
    base_temp: str
    settled: dict[str, Any]
    worker_input: str
    environment: dict[str, str]
    refused: dict[str, str] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    cleanup: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Start a process for these tests (indices into the collection).

    Its socket travels beside the message. `last`: no more tests will follow. `lane` is a number
    that no other process alive has. `environment` is added to the zygote's own. `attempt` counts
    from 1. `fresh`: a new interpreter instead of a fork. `on_gpu`: it was given one.
    """

    unit: int
    tests: list[int]
    last: bool
    lane: int
    environment: dict[str, str]
    attempt: int = 1
    fresh: "FreshStart | None" = None
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class FreshStart:
    """A new interpreter collects this file alone and takes its tests by node id, in order."""

    path: str
    node_ids: list[str]


@dataclass(frozen=True, slots=True)
class EndProcess:
    """End a unit's whole process tree: stacks, TERM, and KILL after `grace_s`; 0: at once."""

    unit: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class EndSession:
    """No more starts will come: finish the session and exit with pytest's status."""

    exit_status: int


# ---------------------------------------------------------------- controller to test process


@dataclass(frozen=True, slots=True)
class MoreTests:
    """Run these after the ones in hand. `last`: nothing follows. `drop`: forget what is queued."""

    tests: list[int]
    last: bool
    drop: bool = False


# ---------------------------------------------------------------- zygote to controller


@dataclass(frozen=True, slots=True)
class Collecting:
    """The zygote begins to import this file (empty: importing is over)."""

    path: str


@dataclass(frozen=True, slots=True)
class CollectReportMade:
    """A serialised collect report, in pytest's own form."""

    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deselected:
    """Tests deselected during collection, by node id."""

    node_ids: list[str]


@dataclass(frozen=True, slots=True)
class WarningRecorded:
    """A warning that pytest recorded, flattened."""

    category: str
    text: str
    filename: str
    line: int
    when: str
    node_id: str
    location: list[Any] | None


@dataclass(frozen=True, slots=True)
class CollectedTest:
    """One test as collected. `problem` says why its marks cannot be used, None when they can.

    `skips`: its skip marks said so where it was collected. `expensive_fixture` names the one that
    it uses, with the scope it lives in; empty: none that is declared so. `default_timeout_s`: what
    the run allows a test that declares nothing (pytest-timeout's option).
    """

    node_id: str
    path: str
    location: list[Any]
    requirement: Requirement
    problem: str | None = None
    skips: bool = False
    expensive_fixture: str = ""
    default_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class CollectionFinished:
    """Collection is over.

    `lines` is what plugins report about it, `said` what settled.SAID holds. `hazards`, by file,
    is why this process must not be forked ("" when only the whole collection is known to have
    done it).
    """

    tests: list[CollectedTest]
    lines: list[str]
    hazards: dict[str, list[str]]
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The zygote's session is over; nothing follows.

    `worker_output` is what its plugins left in `config.workeroutput` (execute.plain_data).
    """

    exit_status: int
    internal_error: str | None = None
    usage_errors: list[str] = field(default_factory=list)
    stop_reason: str | None = None
    worker_output: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A unit's process ended (a `waitpid` status); what it left behind has been ended.

    `survivors` names those processes: "pid 812 (python server.py)". `problem`: why it could not
    even be started. `fixtures_torn_down`: whether the finalisers of fixtures that it shared with
    later tests went well after its crash; None when there were none, or no way to run them.
    """

    unit: int
    wait_status: int
    survivors: list[str]
    problem: str | None = None
    fixtures_torn_down: bool | None = None


# ---------------------------------------------------------------- test process to controller


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """The process runs, and leads a session of its own: its first message."""

    pid: int


@dataclass(frozen=True, slots=True)
class TestBegan:
    """The process begins this test, at this time of the machine's monotonic clock."""

    __test__ = False

    test: int
    at_s: float


@dataclass(frozen=True, slots=True)
class ReportMade:
    """A serialised test report, in pytest's own form, as soon as its phase is over."""

    test: int
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TestEnded:
    """The process is done with this test, at this time of the machine's monotonic clock.

    `stop`: the test or a plugin wants the session to stop, as `session.shouldstop` does. `exits`:
    by leaving it at once, as `pytest.exit` does, with `exit_status` if given. `without_gpu`: what
    execute.gpu_use can tell for certain of a process that was given one.
    """

    __test__ = False

    test: int
    at_s: float
    stop: str | None = None
    exits: bool = False
    exit_status: int | None = None
    without_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Hungry:
    """The process is about to run out of tests."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The process will not run these."""

    tests: list[int]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What plugins kept in this process and published before its end (execute.handover)."""

    worker_output: str


Message = (
    OpenSession
    | StartProcess
    | EndProcess
    | EndSession
    | MoreTests
    | Collecting
    | CollectReportMade
    | Deselected
    | WarningRecorded
    | CollectionFinished
    | SessionEnded
    | ProcessEnded
    | ProcessStarted
    | TestBegan
    | ReportMade
    | TestEnded
    | Hungry
    | Dropped
    | HandedOver
)

_CLASSES: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}


def to_json(message: Message) -> dict[str, Any]:
    """The message as plain JSON data."""
    fields = _fields(message)
    if isinstance(message, CollectionFinished):
        # Thousands of tests, few of which differ in what they need.
        needs: dict[Requirement, int] = {}
        fields["tests"] = [
            {**_fields(test), "requirement": needs.setdefault(test.requirement, len(needs))}
            for test in message.tests
        ]
        fields["requirements"] = [
            {**_fields(each), "exclusive": sorted(each.exclusive)} for each in needs
        ]
    elif isinstance(message, StartProcess) and message.fresh is not None:
        fields["fresh"] = _fields(message.fresh)
    return {"is": type(message).__name__, **fields}


def _fields(value: Any) -> dict[str, Any]:
    # Not asdict: it copies whole reports, and these fields are plain data already.
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def from_json(data: Any) -> Message:
    """The message that `to_json` made; KeyError or TypeError for anything else."""
    fields = dict(data)
    kind = _CLASSES[fields.pop("is")]
    if kind is CollectionFinished:
        needs = list(map(_requirement, fields.pop("requirements")))
        fields["tests"] = [
            CollectedTest(**{**test, "requirement": needs[test["requirement"]]})
            for test in fields["tests"]
        ]
    elif kind is StartProcess and fields["fresh"] is not None:
        fields["fresh"] = FreshStart(**fields["fresh"])
    message: Message = kind(**fields)
    return message


def _requirement(data: dict[str, Any]) -> Requirement:
    needs = dict(data)
    needs["exclusive"] = frozenset(needs["exclusive"])
    needs["gpu_names"] = tuple(needs["gpu_names"])
    needs["engine_caps"] = tuple((name, value) for name, value in needs["engine_caps"])
    return Requirement(**needs)
