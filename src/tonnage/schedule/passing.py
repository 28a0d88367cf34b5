"""One pass over the pending jobs: start everything that fits now, in a given order. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tonnage.schedule.fit import Free
from tonnage.schedule.model import Job

_NOT_KNOWN = float("inf")


class Alike(Protocol):
    """Pending jobs that differ in name only (see backlog.Group)."""

    head: Job
    kind: int
    vram_mib: int
    left: int


@dataclass(slots=True)
class Start:
    """One job of a group starts on these GPUs and holds so many MiB on each."""

    group: Alike
    gpus: tuple[str, ...]
    held_mib: tuple[int, ...]


def start_all(groups: Iterable[Alike], smallest_mib: Mapping[int, int], free: Free) -> list[Start]:
    """Place what fits, one by one, into `free`.

    `groups` come in the order to try; `smallest_mib` has, by each pending kind, what no job of it
    needs less than: when nothing that small fits for any kind, the pass is over.
    """
    starts: list[Start] = []
    # By kind, the most that fits now; not known at first and after every start.
    limits_mib: dict[int, float] = dict.fromkeys(smallest_mib, _NOT_KNOWN)
    hopeless = 0
    for group in groups:
        kind = group.kind
        if group.vram_mib > limits_mib[kind]:
            continue
        for _ in range(group.left):
            if limits_mib[kind] is _NOT_KNOWN:
                limits_mib[kind] = free.largest_mib(group.head)
                hopeless += limits_mib[kind] < smallest_mib[kind]
            if group.vram_mib > limits_mib[kind]:
                break
            gpus = free.choose(group.head)
            starts.append(Start(group, gpus, free.place(group.head, gpus)))
            limits_mib = dict.fromkeys(smallest_mib, _NOT_KNOWN)
            hopeless = 0
        if free.slots <= 0 or hopeless == len(smallest_mib):
            break
    return starts


def keep_all(job: Job, free: Free) -> None:
    """Keep everything for a job that has waited long enough, so that it starts in the end.

    What is kept depends on the machine alone, not on what runs: were the cards chosen anew by
    their load each time, they might be filled in turn for ever.
    """
    able = [card for card in free.cards.values() if card.could_take(job)]
    if len(able) < job.gpus:
        return  # only memory that others hold keeps it waiting
    able.sort(key=lambda card: card.gpu.capacity_mib)
    for card in able[: job.gpus]:
        card.keep_for(job)
    free.keep_rest(job)
