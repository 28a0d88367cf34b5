"""What a profile is made of, as values: samples, phases, caps, probes, searches. Pure.

A *probe* is one run of one test, in a process of its own, under one memory cap (or none). Times
(`..._s`) inside a probe count from the beginning of its baseline. Memory is whole MiB; GPUs are
named by UUID.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tonnage.errors import OptionError
from tonnage.markers.engine_caps import cap_environment, cap_of_role, fraction_environment
from tonnage.units import format_gib


class CapKind(str, Enum):
    """How a probe's memory is limited. The value of an engine's cap is its marker's role."""

    NONE = "none"
    FRACTION = "fraction"
    VLLM_BYTES = "requested_vllm_kv_cache_bytes"
    SGLANG_TOKENS = "requested_sglang_kv_tokens"
    TRTLLM_TOKENS = "requested_trtllm_kv_tokens"
    TRTLLM_GIB = "requested_trtllm_vram_gib"

    @property
    def is_engine_cap(self) -> bool:
        """Whether it limits one engine's cache and not the whole test."""
        return self not in (CapKind.NONE, CapKind.FRACTION)


@dataclass(frozen=True, slots=True)
class Cap:
    """One limit: a share of the card from 0 to 1, or a number in the engine's own unit."""

    kind: CapKind
    value: float = 0.0

    def environment(self) -> dict[str, str]:
        """The variables that bring the cap to the test; empty for no cap."""
        if self.kind is CapKind.NONE:
            return {}
        if self.kind is CapKind.FRACTION:
            return fraction_environment(self.value)
        return cap_environment([(self.kind.value, self.value)])

    def mib(self, capacity_mib: int) -> int | None:
        """The MiB that a share of a card of this size allows; None for any other cap."""
        # As a reader of the variable rounds: a fraction made from whole MiB gives those back.
        is_share = self.kind is CapKind.FRACTION
        return math.ceil(self.value * capacity_mib - 1e-6) if is_share else None

    def text(self, capacity_mib: int | None = None) -> str:
        """`36.0% (17.3 GiB)`, `1048576 bytes` or `no cap`, for people."""
        if self.kind is CapKind.NONE:
            return "no cap"
        if self.kind is CapKind.FRACTION:
            limit_mib = None if capacity_mib is None else self.mib(capacity_mib)
            of_card = "" if limit_mib is None else f" ({format_gib(limit_mib)})"
            return f"{self.value:.1%}{of_card}"
        cap = cap_of_role(self.kind.value)
        assert cap is not None, f"{self.kind} is in no table"
        return f"{cap.text(self.value)} {cap.unit.value}"


NO_CAP = Cap(CapKind.NONE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading during a probe.

    `used_mib` is what everyone together holds on each GPU, `own_mib` what the test's processes
    hold; None, or absent, where it could not be told. `host_mib` is their resident host memory.
    `utilisation` is the busy share of each GPU in percent, where the driver tells it.
    """

    at_s: float
    used_mib: Mapping[str, int | None]
    own_mib: Mapping[str, int | None]
    host_mib: int
    utilisation: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def tree_mib(self) -> int | None:
        """What the test holds on the GPU where it holds most; None: unknown this time."""
        known = [mib for mib in self.own_mib.values() if mib is not None]
        return max(known, default=None)


class PhaseName(str, Enum):
    """The parts of a test's memory curve, in the order in which they come."""

    BASELINE = "baseline"
    LOAD = "model load"
    CACHE = "cache allocation"
    STEADY = "steady"
    TEARDOWN = "teardown"


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of the curve: from when to when, and how much was held meanwhile."""

    name: PhaseName
    start_s: float
    end_s: float
    mean_mib: int
    peak_mib: int

    @property
    def duration_s(self) -> float:
        """How long it lasted, in seconds."""
        return self.end_s - self.start_s


class ProbeOutcome(str, Enum):
    """How the test of a probe ended."""

    PASSED = "passed"
    OUT_OF_MEMORY = "out_of_memory"
    # The engine says that what it may use is too little to start with, before memory runs out.
    DOES_NOT_FIT = "does_not_fit"
    FAILED = "failed"
    SKIPPED = "skipped"
    TIMEOUT = "timeout"
    CRASHED = "crashed"

    @property
    def is_memory(self) -> bool:
        """Whether memory is the reason by what the test itself said."""
        return self in (ProbeOutcome.OUT_OF_MEMORY, ProbeOutcome.DOES_NOT_FIT)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe and everything that was measured.

    `wall_s` is the life of the test's process, `test_s` setup, call and teardown of the test
    alone (None: it never came to that), `total_s` the whole probe with baseline and teardown.
    `peak_mib` and `mean_mib` are of the GPU where the test held most (None: never told), and
    `peak_by_gpu` each GPU's own; `peak_at_s` is when. `counted_peak_mib` is what the framework
    itself counted inside the test, which no sampling misses but which lacks contexts and other
    processes. `leak_mib` is what had not come back when the teardown ended. `method` says how
    memory was told apart: simulated, process tree, device delta. `needed_mib` and
    `needed_tokens` are what the failure's own words say would have been needed at least.
    `survivors` are processes that the test left behind, ended here.
    """

    cap: Cap
    outcome: ProbeOutcome
    wall_s: float
    test_s: float | None = None
    total_s: float = 0.0
    peak_mib: int | None = None
    peak_at_s: float | None = None
    mean_mib: int | None = None
    peak_by_gpu: Mapping[str, int] = field(default_factory=dict)
    counted_peak_mib: int | None = None
    baseline_mib: int | None = None
    leak_mib: int = 0
    host_peak_mib: int = 0
    utilisation_mean: float | None = None
    utilisation_peak: int | None = None
    method: str = ""
    phases: tuple[Phase, ...] = ()
    samples: tuple[Sample, ...] = ()
    reason: str = ""
    output_tail: str = ""
    needed_mib: int | None = None
    needed_tokens: int | None = None
    survivors: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the test passed."""
        return self.outcome is ProbeOutcome.PASSED

    @property
    def highest_mib(self) -> int | None:
        """The higher of the sampled and the framework's own peak; None when neither is known."""
        known = [mib for mib in (self.peak_mib, self.counted_peak_mib) if mib is not None]
        return max(known, default=None)


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How a probe is taken. Seconds.

    `baseline_s` and `teardown_s` are sampled before and after; with `ends_early` the teardown is
    over as soon as the memory has come back. `timeout_s` ends a test that hangs (None: never).
    """

    interval_s: float = 0.1
    baseline_s: float = 3.0
    teardown_s: float = 5.0
    ends_early: bool = False
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.interval_s < math.inf:
            raise OptionError(
                f"cannot sample every {self.interval_s:g} s",
                where="--interval",
                remedy="Give the seconds between two samples, more than 0, such as 0.1.",
            )
        for option, seconds in (
            ("--baseline-seconds", self.baseline_s),
            ("--teardown-seconds", self.teardown_s),
        ):
            if not 0 <= seconds < math.inf:
                raise OptionError(
                    f"cannot sample for {seconds:g} s",
                    where=option,
                    remedy="Give a number of seconds, 0 or more.",
                )


class Verdict(str, Enum):
    """How a search ended."""

    FOUND = "found"
    DOES_NOT_HONOUR = "does_not_honour"  # the memory used does not follow the cap
    FAILS_ON_ITS_OWN = "fails_on_its_own"  # at the largest cap, and not for want of memory
    DOES_NOT_FIT = "does_not_fit"  # out of memory at the largest cap
    FLAKY = "flaky"  # passes and fails at one and the same cap, again and again
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The least memory at which a test passes, as far as it was found.

    `lowest_passing` passed, `highest_failing` did not (None: nothing lower was seen to fail).
    `peak_mib` is the highest memory seen at the lowest passing cap (for a test that does not
    honour the cap: in any probe), never less than the largest share of the card at which memory
    ran out.
    """

    verdict: Verdict
    probes: tuple[ProbeResult, ...] = ()
    lowest_passing: Cap | None = None
    highest_failing: Cap | None = None
    peak_mib: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchBegan:
    """Progress: the least cap from `low` to `high` is searched for, with at most so many probes.

    `tolerance` is how far a passing and a failing cap may be apart in the end: a difference of
    shares for a share of the card, a ratio for an engine's cap.
    """

    low: Cap
    high: Cap
    tolerance: float
    at_most: int


@dataclass(frozen=True, slots=True)
class ProbeStarted:
    """Progress: probe `index` (from 1) of at most `at_most` begins.

    `left_s` is how long the rest may take, this one included; None for the first.
    """

    index: int
    at_most: int
    cap: Cap
    left_s: float | None
    note: str = ""  # why this cap: `validation run`, `repeated`, ...


@dataclass(frozen=True, slots=True)
class ProbeEnded:
    """Progress: probe `index` is over."""

    index: int
    result: ProbeResult


ProfileEvent = SearchBegan | ProbeStarted | ProbeEnded
