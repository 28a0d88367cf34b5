"""What a test without a hardware marker is given on a machine with GPUs. Pure.

`learn`: what earlier runs measured on this kind of card stands in for the declaration. Without a
measurement a test gets one whole GPU to itself and is weighed. One that was seen to use no GPU
memory still sees a GPU, so that it does what it did when it was weighed; it reserves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tonnage.markers.requirement import PROFILED_MARGIN_PERCENT
from tonnage.record.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    GpuDescription,
    TestsCollected,
)
from tonnage.record.measured import Measured, gpu_kind
from tonnage.units import format_gib, plural

Undeclared = Literal["learn", "whole", "cpu", "error"]


@dataclass(frozen=True, slots=True)
class Given:
    """GPUs, and MiB on each (None: whole cards). `allowed` None: any card will do."""

    gpus: int
    vram_mib: int | None
    allowed: frozenset[str] | None = None


_WHOLE = Given(1, None)
_NOTHING = Given(0, 0)


def given_to_undeclared(
    policy: Undeclared, gpus: Sequence[GpuDescription], measured: Measured | None
) -> Given:
    """What a test without a hardware marker gets. `measured`: what is known of it."""
    if not gpus or policy in ("cpu", "error"):
        return _NOTHING
    if policy == "whole" or measured is None:
        return _WHOLE
    peaks = {gpu.uuid: measured.peak_mib(gpu_kind(gpu)) for gpu in gpus}
    known = {uuid: peak for uuid, peak in peaks.items() if peak is not None}
    if not known:
        return _WHOLE
    reserved = with_margin(max(known.values()))
    roomy = frozenset(
        gpu.uuid for gpu in gpus if gpu.uuid in known and reserved <= gpu.capacity_mib
    )
    if not roomy:
        return _WHOLE  # it fills the card: then alone, and with all of it
    return Given(1, reserved, None if len(roomy) == len(gpus) else roomy)


def with_margin(peak_mib: int) -> int:
    """What to reserve for a measured peak: the next run may need a little more."""
    return -(-peak_mib * (100 + PROFILED_MARGIN_PERCENT) // 100)


def undeclared_notice(policy: Undeclared, learned: int, whole: int) -> str | None:
    """What to tell about tests without a hardware marker: packed as learned, and on whole cards."""
    count = learned + whole
    if not count:
        return None
    line = f"{plural(count, 'test')} without a hardware marker: "
    if learned and not whole:
        return f"{line}packed by what earlier runs measured"
    if policy == "learn":
        beside = f"{learned} packed by what earlier runs measured; " if learned else ""
        each = f"{whole} " if learned else "each "
        return (
            f"{line}{beside}{each}on a whole GPU to itself, to be weighed: "
            "the next run can pack what passes"
        )
    return (
        f"{line}each gets a whole GPU to itself, which is safe and slow; mark them (gpu_0, gpu_1 "
        "...), or use --undeclared learn"
    )


def outgrown(events: Sequence[Event]) -> list[str]:
    """Notices of tests that took more than was learned of them, from a run's events. Pure."""
    learned: set[str] = set()
    reserved: dict[str, int] = {}
    said: dict[str, str] = {}
    for event in events:
        match event:
            case TestsCollected():
                learned = {
                    test.node_id
                    for test in event.tests
                    if test.gpus and test.declared_mib is None and test.reserved_mib is not None
                }
            case AttemptStarted() if event.node_id in learned:
                reserved[event.node_id] = event.reserved_mib
            case AttemptFinished() if event.node_id in reserved:
                held, peak = reserved[event.node_id], event.peak_mib or 0
                if peak > held:
                    said[event.node_id] = (
                        f"{event.node_id} took {format_gib(peak)}, more than the "
                        f"{format_gib(held)} reserved by what was learned; the next run knows"
                    )
    return list(said.values())
