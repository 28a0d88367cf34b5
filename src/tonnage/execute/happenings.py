"""What goes into the state of a run and what comes out: happenings and instructions, as values.

Tests are numbered by their place in the collection, units by the order in which they started.
Memory is MiB by GPU, times are seconds since the run began.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tonnage.record.outcomes import Outcome

# ------------------------------------------------------------------ what happened


@dataclass(frozen=True, slots=True)
class TestBegan:
    """A unit began a test."""

    __test__ = False

    unit: int
    test: int


@dataclass(frozen=True, slots=True)
class TestEnded:
    """A unit is done with a test and all its reports are here.

    `out_of_memory`: it failed because a GPU was full.
    """

    __test__ = False

    unit: int
    test: int
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class UnitHungry:
    """A worker is about to run out of tests."""

    unit: int


@dataclass(frozen=True, slots=True)
class TestsDropped:
    """A worker was told to forget these and did."""

    __test__ = False

    unit: int
    tests: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnitEnded:
    """A unit's process and everything under it is gone.

    `out_of_memory`: its last words say that a GPU was full.
    """

    unit: int
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class AgentLost:
    """Whatever started the units is gone, and every unit with it."""


@dataclass(frozen=True, slots=True)
class MemoryRead:
    """A reading: MiB by unit and GPU, and what processes outside the run hold.

    `untold`: GPUs on which the reading says nothing of a unit, by unit; else a unit that is not
    listed holds nothing. `at_s` is when the reading was taken.
    """

    by_unit: Mapping[int, Mapping[str, int]]
    foreign_mib: Mapping[str, int]
    untold: Mapping[int, Collection[str]] = field(default_factory=dict)
    at_s: float = math.inf


@dataclass(frozen=True, slots=True)
class NeighboursRead:
    """What other runs have reserved on the GPUs, and how much of it no reading shows yet, in MiB.

    It only informs what happens next.
    """

    reserved_mib: Mapping[str, int]
    unused_mib: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened but time."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Start nothing more. `now`: end what runs, too."""

    now: bool


Happening = (
    TestBegan
    | TestEnded
    | UnitHungry
    | TestsDropped
    | UnitEnded
    | AgentLost
    | MemoryRead
    | NeighboursRead
    | TimePassed
    | StopAsked
)

# ------------------------------------------------------------------ what to do


@dataclass(frozen=True, slots=True)
class StartUnit:
    """Start a process for these tests on these GPUs. `lane` is free among the running units."""

    unit: int
    tests: tuple[int, ...]
    last: bool
    lane: int
    gpus: tuple[str, ...]
    reserved_mib: int


@dataclass(frozen=True, slots=True)
class FeedUnit:
    """Give a worker more tests. `drop`: have it forget what is queued."""

    unit: int
    tests: tuple[int, ...]
    last: bool
    drop: bool = False


@dataclass(frozen=True, slots=True)
class EndUnit:
    """End a unit's process tree. `gently`: with stacks, TERM and a grace."""

    unit: int
    gently: bool


@dataclass(frozen=True, slots=True)
class RefuseTest:
    """This test can never run; `reason` says why."""

    test: int
    reason: str


@dataclass(frozen=True, slots=True)
class TestLost:
    """The unit's process ended while it had this test in hand.

    `outcome`: TIMEOUT when it was past its deadline, LOST when its agent is gone, else CRASHED.
    `going_on`: how many tests of the same batch go on in a new process.
    """

    __test__ = False

    unit: int
    test: int
    outcome: Outcome
    going_on: int = 0


@dataclass(frozen=True, slots=True)
class StartOver:
    """The unit was ended for what an earlier test did, with this one in hand: it waits again."""

    unit: int
    test: int


@dataclass(frozen=True, slots=True)
class RetryAlone:
    """The test ran out of memory on a GPU that it shared: it will be tried once more, alone."""

    unit: int
    test: int


@dataclass(frozen=True, slots=True)
class TestSlow:
    """The test in hand has taken this long, and still runs."""

    __test__ = False

    unit: int
    test: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class MemoryLeaked:
    """The unit's process is gone and this memory (MiB by GPU) did not come back in time."""

    unit: int
    leaked_mib: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MemoryStrayed:
    """A unit uses memory on a GPU that it was not given, MiB."""

    unit: int
    gpu: str
    used_mib: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Something to tell the user."""

    text: str


Instruction = (
    StartUnit
    | FeedUnit
    | EndUnit
    | RefuseTest
    | TestLost
    | StartOver
    | RetryAlone
    | TestSlow
    | MemoryLeaked
    | MemoryStrayed
    | Notify
)
