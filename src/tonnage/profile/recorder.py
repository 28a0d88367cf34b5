"""Readings of the devices during a probe, turned into samples of what the test holds.

It is called from the sampler's thread, so that the processes on a reading are looked up while
they still live.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import psutil

from tonnage.devices.attribution import DEVICE_DELTA, PROCESS_TREE, attribute
from tonnage.devices.backend import DeviceReading
from tonnage.devices.open import Devices
from tonnage.devices.processes import process_relations
from tonnage.execute.family import descendants_of
from tonnage.profile.model import Sample

_TEST = "test"
_BYTES_PER_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """A sample, and what processes below the test's own hold in it (MiB).

    `methods` says by GPU how the test's share was told, before the test about none. `unnamed` are
    the GPUs whose processes and their memory are all told, and none of them is the test's.
    """

    sample: Sample
    methods: Mapping[str, str]
    below_mib: int
    unnamed: frozenset[str]


class Recorder:
    """Takes readings of some GPUs; `leader` is the pid of the test's process once it runs."""

    def __init__(
        self,
        devices: Devices,
        gpus: Sequence[str],
        began_s: float,
        on_sample: Callable[[Sample], None] | None,
    ) -> None:
        self.leader: int | None = None
        self.taken: list[Taken] = []
        self._devices = devices
        # Where processes cannot be told apart, what is above the baseline is the test's.
        self._reserved = {_TEST: {gpu.uuid: gpu.capacity_mib for gpu in devices.gpus}}
        self._gpus = tuple(gpus)
        self._began_s = began_s
        self._on_sample = on_sample
        self._lowest_mib: dict[str, int] = {}

    def on_reading(self, reading: DeviceReading) -> None:
        """Take one reading."""
        leader = self.leader
        if leader is None:
            for gpu, used_mib in reading.used_mib.items():
                if used_mib is not None:
                    self._lowest_mib[gpu] = min(used_mib, self._lowest_mib.get(gpu, used_mib))
        taken = self._divided(reading, leader)
        self.taken.append(taken)
        if self._on_sample is not None:
            self._on_sample(taken.sample)

    @property
    def baseline_mib(self) -> dict[str, int]:
        """The least that was in use on each GPU before the test, by anyone."""
        return dict(self._lowest_mib)

    def samples(self) -> tuple[Sample, ...]:
        """All samples, with one way of telling memory apart as far as the driver allowed."""
        if not any(PROCESS_TREE in taken.methods.values() for taken in self.taken):
            return tuple(taken.sample for taken in self.taken)
        # The driver names our processes, so where it names none of them there were none.
        return tuple(
            replace(
                taken.sample,
                own_mib={**taken.sample.own_mib, **dict.fromkeys(taken.unnamed, 0)},
            )
            for taken in self.taken
        )

    @property
    def method(self) -> str:
        """How memory was told apart where the test held most; empty when it was not told."""
        told = [
            (own_mib, taken.methods[gpu])
            for taken, sample in zip(self.taken, self.samples(), strict=True)
            for gpu, own_mib in sample.own_mib.items()
            if own_mib is not None and gpu in taken.methods
        ]
        return max(told, key=lambda each: each[0], default=(0, ""))[1]

    def _divided(self, reading: DeviceReading, leader: int | None) -> Taken:
        pids = {use.pid for uses in reading.processes.values() for use in uses or ()}
        own_mib: dict[str, int | None] = dict.fromkeys(self._gpus, 0)
        below_mib = 0
        methods: dict[str, str] = {}
        if leader is not None:
            relations = process_relations(pids | {leader}) if pids else {}
            share = attribute(reading, {leader: _TEST}, relations, self._reserved, self._lowest_mib)
            methods = share.methods
            known = share.by_attempt.get(_TEST, {})
            for gpu in self._gpus:
                is_told = share.methods[gpu] != DEVICE_DELTA and reading.processes[gpu] is not None
                own_mib[gpu] = known.get(gpu, 0 if is_told else None)
            below_mib = max(
                (
                    (own_mib[gpu] or 0) - _held_by(leader, reading, gpu)
                    for gpu in self._gpus
                    if share.methods[gpu] != DEVICE_DELTA
                ),
                default=0,
            )
        sample = Sample(
            at_s=reading.at_s - self._began_s,
            used_mib=dict(reading.used_mib),
            own_mib=own_mib,
            host_mib=0 if leader is None else _host_mib(leader),
            utilisation=self._utilisation(),
        )
        return Taken(sample, methods, below_mib, _unnamed(reading, methods))

    def _utilisation(self) -> dict[str, int | None]:
        backend = self._devices.backend
        assert backend is not None
        return {gpu: backend.read_utilisation(gpu) for gpu in self._gpus}


def _unnamed(reading: DeviceReading, methods: Mapping[str, str]) -> frozenset[str]:
    return frozenset(
        gpu
        for gpu, uses in reading.processes.items()
        if methods.get(gpu) == DEVICE_DELTA
        and uses is not None
        and all(use.used_mib is not None for use in uses)
    )


def _held_by(pid: int, reading: DeviceReading, gpu: str) -> int:
    uses = reading.processes[gpu] or ()
    return sum(use.used_mib or 0 for use in uses if use.pid == pid)


def _host_mib(leader: int) -> int:
    """Resident memory of a process and all below it; a page that two share counts for both."""
    resident = 0
    for pid in (leader, *descendants_of(leader)):
        try:
            resident += psutil.Process(pid).memory_info().rss
        except psutil.Error:
            continue  # it has just ended
    return resident // _BYTES_PER_MIB
