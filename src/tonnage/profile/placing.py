"""Which test is profiled next, and on which GPUs. Pure.

A GPU is lent to one test at a time: what a neighbour holds cannot be told from what a test holds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tonnage.devices.backend import DeviceGpu
from tonnage.markers.requirement import Requirement
from tonnage.units import plural


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one test is to be given: how many GPUs, and which cards will do."""

    requirement: Requirement

    @property
    def gpus(self) -> int:
        """How many it takes at once; one where nothing is declared."""
        return 1 if self.requirement.gpus is None else self.requirement.gpus

    def suitable(self, gpus: Sequence[DeviceGpu]) -> list[DeviceGpu]:
        """Those of these GPUs that it may run on."""
        return [gpu for gpu in gpus if self.requirement.allows_card(gpu.name)]


def next_start(
    waiting: Sequence[Wanted], gpus: Sequence[DeviceGpu], busy: Collection[str]
) -> tuple[int, tuple[DeviceGpu, ...]] | None:
    """The place in `waiting` of the test to start now, and its GPUs; None while none can start.

    Tests that take more GPUs go first: what they give back is then always enough for the next.
    """
    free = [gpu for gpu in gpus if gpu.uuid not in busy]
    order = sorted(range(len(waiting)), key=lambda place: -waiting[place].gpus)
    for place in order:
        suitable = waiting[place].suitable(free)
        if len(suitable) >= waiting[place].gpus:
            return place, tuple(suitable[: waiting[place].gpus])
    return None


def why_never(wanted: Wanted, gpus: Sequence[DeviceGpu]) -> str | None:
    """Why no machine with just these GPUs can profile the test; None when it can."""
    if wanted.gpus == 0:
        return "it is marked as needing no GPU, so there is no VRAM to measure"
    suitable = wanted.suitable(gpus)
    if len(suitable) >= wanted.gpus:
        return None
    names = wanted.requirement.gpu_names
    kind = f" with {' and '.join(names)} in their name" if names else ""
    return f"it needs {plural(wanted.gpus, 'GPU')}{kind}, here {_are(len(suitable))}"


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {count or 'none'}"
