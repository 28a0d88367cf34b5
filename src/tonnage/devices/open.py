"""Opening the devices of a run: from what was asked for to the GPUs that may be used.

Having no GPU is a fact with a reason, not an error: a run without one is still a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tonnage.devices.backend import DeviceBackend, DeviceGpu, NoGpu
from tonnage.devices.describe import describe_gpus
from tonnage.devices.ledger import LEDGER_VARIABLE, Ledger, cards_of
from tonnage.devices.nvml import NoDriver, open_nvml
from tonnage.devices.scratch import ScratchDirectory
from tonnage.devices.simulated import SimulatedBackend
from tonnage.devices.spec import GpuSpec
from tonnage.devices.visibility import (
    CUDA_MASK,
    Visible,
    mask_environment,
    visible_gpus,
)
from tonnage.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Devices:
    """The GPUs a run may use. Close it when the run is over.

    `gpus` are those the caller's mask leaves, in the order of the mask. `why_none` is None when
    there are any. `note` is one line for people. `base_environment` goes to every test process.
    """

    gpus: tuple[DeviceGpu, ...]
    backend: DeviceBackend | None
    why_none: NoGpu | None
    note: str
    base_environment: dict[str, str]
    _visible: tuple[Visible, ...] = ()
    _environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    _scratch: ScratchDirectory | None = None

    def environment_for(self, uuids: Sequence[str]) -> dict[str, str]:
        """Variables that show a process exactly these GPUs, in this order; `()` shows it none.

        Written from the entries of the caller's own mask, in its notation. Raises ValueError for
        a GPU that is not one of `gpus`.
        """
        return mask_environment(uuids, self._visible, self._environ)

    @property
    def own_directory(self) -> Path | None:
        """The directory made for the simulated cards of this run; None when none was."""
        return None if self._scratch is None else self._scratch.path

    def close(self) -> None:
        """Let go of the driver, and remove the simulated cards if they were made here."""
        if self.backend is not None:
            self.backend.close()
        if self._scratch is not None:
            self._scratch.remove()


def open_devices(spec: GpuSpec, environ: Mapping[str, str]) -> Devices:
    """Open what `spec` names, inside the outer limit that `environ` sets.

    Raises DeviceError only when simulated cards cannot be made (no room for their ledger).
    """
    if spec.source == "none":
        return _none(NoGpu.SWITCHED_OFF, environ)
    if spec.source == "simulated":
        ledger, scratch = _simulated_cards(spec.cards_mib, environ)
        return _open(
            SimulatedBackend(ledger),
            environ,
            {LEDGER_VARIABLE: str(ledger.directory)},
            scratch,
        )
    backend = open_nvml()
    if isinstance(backend, NoDriver):
        # Only a reason without a name needs the driver's own words.
        detail = backend.detail if backend.reason is NoGpu.UNKNOWN_ERROR else ""
        return _none(backend.reason, environ, detail)
    return _open(backend, environ, {}, None)


def _open(
    backend: DeviceBackend,
    environ: Mapping[str, str],
    base_environment: dict[str, str],
    scratch: ScratchDirectory | None,
) -> Devices:
    present = backend.list_gpus()
    visible = visible_gpus(environ.get(CUDA_MASK), _uuids_by_index(present))
    by_uuid = {gpu.uuid: gpu for gpu in present}
    gpus = tuple(by_uuid[each.uuid] for each in visible)
    why_none = None
    if not gpus:
        why_none = NoGpu.ALL_MASKED if present else NoGpu.NO_DEVICES
    return Devices(
        gpus,
        backend,
        why_none,
        describe_gpus(backend.name, present, gpus, environ),
        base_environment,
        visible,
        dict(environ),
        scratch,
    )


def _none(reason: NoGpu, environ: Mapping[str, str], detail: str = "") -> Devices:
    note = f"{reason.value}: {detail}" if detail else reason.value
    return Devices((), None, reason, note, {}, (), dict(environ))


def _uuids_by_index(present: Sequence[DeviceGpu]) -> list[str]:
    """UUIDs, each at its GPU's index; a GPU that does not answer leaves an empty place."""
    by_index = {gpu.index: gpu.uuid for gpu in present}
    return [by_index.get(index, "") for index in range(max(by_index, default=-1) + 1)]


def _simulated_cards(
    capacities_mib: Sequence[int], environ: Mapping[str, str]
) -> tuple[Ledger, ScratchDirectory | None]:
    """The ledger to use, and the directory that was made for it, if one was.

    A run inside a test of another run shares the outer run's cards when they are the same ones:
    both then see each other's memory, as they would on real cards.
    """
    cards = cards_of(capacities_mib)
    if environ.get(LEDGER_VARIABLE):
        try:
            shared = Ledger(Path(environ[LEDGER_VARIABLE]))
        except DeviceError:
            pass  # left over from a run that has ended
        else:
            if shared.cards == cards:
                return shared, None
    try:
        scratch = ScratchDirectory("tonnage-sim-")
    except OSError as error:
        raise DeviceError(
            f"the simulated GPUs have no place to live ({error})",
            where="--gpus",
            remedy="Set TMPDIR to a directory that can be written.",
        ) from error
    try:
        return Ledger.create(scratch.path, cards), scratch
    except DeviceError:
        scratch.remove()
        raise
