"""The cards of a run, less what others hold on them. Pure. Memory is MiB by GPU."""

from collections.abc import Mapping
from dataclasses import replace

from tonnage.execute.happenings import NeighboursRead
from tonnage.schedule.model import Gpu, Machine
from tonnage.units import format_gib


class Cards:
    """What is left of the machine's GPUs for this run, as `machine`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._foreign_mib = {gpu.id: gpu.foreign_mib for gpu in machine.gpus}  # as measured
        self._other_runs = NeighboursRead({}, {})

    def __contains__(self, gpu: str) -> bool:
        return gpu in self._foreign_mib

    def by_id(self) -> dict[str, Gpu]:
        """The GPUs by their id."""
        return {gpu.id: gpu for gpu in self.machine.gpus}

    def read(self, foreign_mib: Mapping[str, int], strayed_mib: Mapping[str, int]) -> None:
        """What a reading shows: memory of foreign processes, and of ours where it has no place."""
        self._foreign_mib.update(foreign_mib)
        for gpu, mib in strayed_mib.items():
            self._foreign_mib[gpu] += mib
        self._take_off()

    def hear(self, others: NeighboursRead) -> None:
        """What other runs say that they have reserved."""
        self._other_runs = others
        self._take_off()

    def _take_off(self) -> None:
        """Take off the cards what others hold, and what other runs may take any moment.

        Their figures may be older than the reading: what they reserved is theirs in any case.
        """
        others = self._other_runs
        self.machine = replace(
            self.machine,
            gpus=tuple(
                replace(
                    gpu,
                    foreign_mib=max(
                        others.reserved_mib.get(gpu.id, 0),
                        self._foreign_mib.get(gpu.id, 0) + others.unused_mib.get(gpu.id, 0),
                    ),
                )
                for gpu in self.machine.gpus
            ),
        )

    def foreign_memory(self) -> str:
        """Who keeps how much from us, in words."""
        held = [
            f"{format_gib(gpu.foreign_mib)} of {gpu.id}"
            for gpu in self.machine.gpus
            if gpu.foreign_mib
        ]
        return f"processes outside this run hold {', '.join(held)}"
