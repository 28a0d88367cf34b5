"""Which tests a command line leaves out, and why, in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tonnage.markers.requirement import Requirement
from tonnage.markers.stages import check_stage, stage_selects
from tonnage.markers.vocabulary import Vocabulary
from tonnage.units import format_gib, mib_from_gib, plural


class DropKind(str, Enum):
    """Why a test is left out. One test has one: the first that applies, in this order."""

    LATER_STAGE = "later stage"
    NO_LIFECYCLE = "no lifecycle"
    OVER_BUDGET = "over budget"
    TOO_FEW_GPUS = "too few GPUs"
    WRONG_CARD = "wrong card"
    TOO_LITTLE_VRAM = "too little VRAM"


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """The GPUs a run may use, each as (name, capacity in MiB)."""

    gpus: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What was asked for; None asks for nothing.

    `max_vram_gib`: per GPU (--max-vram-gib). `stage`: --stage. `machine`: --fits.
    """

    max_vram_gib: float | None = None
    stage: str | None = None
    machine: MachineLimits | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A test that is left out, and why.

    `group` is the phrase it is counted under, for one test and for several; `reason` its own.
    """

    node_id: str
    kind: DropKind
    group: tuple[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The node ids that stay and the tests that do not, both in collection order."""

    kept: tuple[str, ...]
    dropped: tuple[Dropped, ...]

    def summary_line(self) -> str | None:
        """How many tests are left out, by reason, most first; None when all stay."""
        if not self.dropped:
            return None
        counts = Counter(drop.group for drop in self.dropped)
        parts = [
            f"{count} {one if count == 1 else several}"
            for (one, several), count in counts.most_common()
        ]
        return f"{plural(len(self.dropped), 'test')} deselected: {', '.join(parts)}"

    def detail_lines(self) -> tuple[str, ...]:
        """One line for each test left out: its id and why."""
        return tuple(f"{drop.node_id}: {drop.reason}" for drop in self.dropped)


def select(
    candidates: Sequence[tuple[str, Requirement]], limits: Limits, vocabulary: Vocabulary
) -> Selection:
    """Divide tests, given as (node id, requirement), by the limits.

    A test that declares nothing about a limit stays within it, except that one without a
    lifecycle is in no stage. Raises OptionError for an unknown stage.
    """
    if limits.stage is not None:
        check_stage(limits.stage, vocabulary.lifecycles)
    kept: list[str] = []
    dropped: list[Dropped] = []
    for node_id, requirement in candidates:
        drop = (
            _outside_stage(node_id, requirement, limits.stage, vocabulary)
            or _over_budget(node_id, requirement, limits.max_vram_gib)
            or _does_not_fit(node_id, requirement, limits.machine)
        )
        if drop is None:
            kept.append(node_id)
        else:
            dropped.append(drop)
    return Selection(tuple(kept), tuple(dropped))


def _outside_stage(
    node_id: str, requirement: Requirement, stage: str | None, vocabulary: Vocabulary
) -> Dropped | None:
    lifecycle = requirement.lifecycle
    if stage is None or stage_selects(stage, lifecycle, vocabulary.lifecycles):
        return None
    if lifecycle is None:
        return Dropped(
            node_id,
            DropKind.NO_LIFECYCLE,
            ("has no lifecycle marker (--stage)", "have no lifecycle marker (--stage)"),
            f"has no lifecycle marker (--stage); give it one of {', '.join(vocabulary.lifecycles)}",
        )
    return Dropped(
        node_id,
        DropKind.LATER_STAGE,
        (f"runs only from {lifecycle} (--stage)", f"run only from {lifecycle} (--stage)"),
        f"runs only from {lifecycle}, later than {stage} (--stage)",
    )


def _over_budget(
    node_id: str, requirement: Requirement, max_vram_gib: float | None
) -> Dropped | None:
    need_mib = requirement.vram_mib
    if max_vram_gib is None or need_mib is None or need_mib <= mib_from_gib(max_vram_gib):
        return None
    budget = f"more than {max_vram_gib:g} GiB (--max-vram-gib)"
    reason = f"needs {format_gib(need_mib)} per GPU, {budget}"
    return Dropped(node_id, DropKind.OVER_BUDGET, _need(budget), reason)


def _does_not_fit(
    node_id: str, requirement: Requirement, machine: MachineLimits | None
) -> Dropped | None:
    """A gang of k needs k cards, each of the right name and each large enough."""
    count = requirement.gpus
    if machine is None or not count:
        return None
    here = len(machine.gpus)
    if count > here:
        reason = f"needs {plural(count, 'GPU')}, this machine has {here} (--fits)"
        group = _need(f"more than {plural(here, 'GPU')} (--fits)")
        return Dropped(node_id, DropKind.TOO_FEW_GPUS, group, reason)
    capacities_mib = sorted(
        (capacity for name, capacity in machine.gpus if requirement.allows_card(name)),
        reverse=True,
    )
    if count > len(capacities_mib):
        card = " ".join(requirement.gpu_names)
        cards = ", ".join(sorted({name for name, _ in machine.gpus}))
        reason = f"needs {count} x {card}, this machine has {len(capacities_mib)} ({cards}; --fits)"
        return Dropped(node_id, DropKind.WRONG_CARD, _need(f"{card} (--fits)"), reason)
    smallest_mib = capacities_mib[count - 1]
    need_mib = requirement.reserved_mib
    if need_mib is None or need_mib <= smallest_mib:
        return None
    has = format_gib(smallest_mib)
    reason = (
        f"needs {format_gib(need_mib)} on {plural(count, 'GPU')}, this machine has {has} (--fits)"
    )
    group = _need("more VRAM than there is (--fits)")
    return Dropped(node_id, DropKind.TOO_LITTLE_VRAM, group, reason)


def _need(what: str) -> tuple[str, str]:
    return f"needs {what}", f"need {what}"
