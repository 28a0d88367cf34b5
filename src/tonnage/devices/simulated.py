"""The simulated device backend: cards that exist in a ledger and nowhere else."""

from collections.abc import Sequence

from tonnage.devices.backend import DeviceGpu, ProcessUse
from tonnage.devices.ledger import Allocation, Ledger
from tonnage.errors import DeviceError


class SimulatedBackend:
    """Reads the ledger that simulated memory is taken from."""

    name = "simulated"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def list_gpus(self) -> tuple[DeviceGpu, ...]:
        """The cards of the ledger, in order."""
        return tuple(
            DeviceGpu(card.uuid, index, "Simulated GPU", card.capacity_mib)
            for index, card in enumerate(self.ledger.cards)
        )

    def read_used_mib(self, uuid: str) -> int | None:
        """What living processes hold on the card; None when the ledger is gone."""
        held = self._held(uuid)
        return None if held is None else sum(each.mib for each in held)

    def read_processes(self, uuid: str) -> tuple[ProcessUse, ...] | None:
        """Each living process with memory on the card; None when the ledger is gone."""
        held = self._held(uuid)
        if held is None:
            return None
        by_pid: dict[int, int] = {}
        for each in held:
            by_pid[each.pid] = by_pid.get(each.pid, 0) + each.mib
        return tuple(ProcessUse(pid, mib) for pid, mib in sorted(by_pid.items()))

    def read_utilisation(self, uuid: str) -> int | None:
        """Simulated cards do not compute."""
        return None

    def close(self) -> None:
        """Nothing to let go of: the ledger belongs to whoever made it."""

    def _held(self, uuid: str) -> Sequence[Allocation] | None:
        try:
            return self.ledger.on_card(uuid)
        except DeviceError:
            return None
