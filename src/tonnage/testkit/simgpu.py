"""Simulated GPU memory for suites under test: take it, run out of it, have it measured.

    from tonnage.testkit import simgpu

    def test_fits():
        with simgpu.allocate(4):      # 4 GiB of the first visible card
            ...

It works inside `pytest --gpus sim:...` and behaves as CUDA would: the visibility mask and the
memory caps are honoured, a full card raises, a process that dies gives everything back, and a
process forked from one that has used the card cannot use it.
"""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tonnage.devices.ledger import (
    CONTEXT_PREFIX,
    LEDGER_VARIABLE,
    Allocation,
    Card,
    Ledger,
    Shortage,
)
from tonnage.devices.visibility import CUDA_MASK, visible_gpus
from tonnage.errors import DeviceError, TonnageError
from tonnage.units import MIB_PER_GIB, mib_from_gib

CAP_VARIABLES = ("TONNAGE_VRAM_FRACTION", "DYN_GPU_MEMORY_FRACTION_OVERRIDE")


class OutOfMemoryError(TonnageError, RuntimeError):
    """The card is full, or this process tree may not take more of it."""


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """The state of one card in MiB, whoever uses it."""

    free_mib: int
    total_mib: int


class SimulatedMemory:
    """Memory taken. A context manager; left alone, it is held until the process ends."""

    def __init__(self, ledger: Ledger, allocation: Allocation) -> None:
        self._ledger = ledger
        self._allocation = allocation

    @property
    def mib(self) -> int:
        """The size in MiB."""
        return self._allocation.mib

    def release(self) -> None:
        """Give it back now. Doing so twice is harmless."""
        self._ledger.release(self._allocation)

    def __enter__(self) -> "SimulatedMemory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def allocate(gib: float, device: int = 0) -> SimulatedMemory:
    """Take `gib` GiB of a visible card (`device` counts visible cards from 0).

    The first call makes this process's context on the card, which lives until it ends.
    Raises OutOfMemoryError when the card or the cap has no room, and DeviceError when there is
    no such card or the context was inherited by a fork.
    """
    if not gib >= 0:
        raise ValueError(f"cannot allocate {gib} GiB")
    _refuse_inherited_context()
    ledger, cards = _visible_cards()
    card = _card(cards, device)
    _open_context(ledger, card)
    mib = mib_from_gib(gib)
    cap = _cap(card)
    result = ledger.allocate(card, mib, _owner(), None if cap is None else cap.mib)
    if isinstance(result, Shortage):
        raise OutOfMemoryError(
            _shortage_text(mib, device, card, cap, result), remedy=_shortage_remedy(mib, result)
        )
    return SimulatedMemory(ledger, result)


def device_count() -> int:
    """How many simulated cards are visible to this process; 0 outside `--gpus sim:...`."""
    return len(_visible_cards()[1]) if os.environ.get(LEDGER_VARIABLE) else 0


def memory_info(device: int = 0) -> MemoryInfo:
    """Free and total memory of a visible card. Raises DeviceError when there is no such card."""
    ledger, cards = _visible_cards()
    card = _card(cards, device)
    used_mib = sum(held.mib for held in ledger.on_card(card.uuid))
    return MemoryInfo(card.capacity_mib - used_mib, card.capacity_mib)


@dataclass(slots=True)
class _Process:
    """What this process has open: one ledger, and one descriptor per card it has a context on."""

    pid: int = 0
    ledger: Ledger | None = None
    contexts: dict[str, int] = field(default_factory=dict)


_process = _Process()


def _refuse_inherited_context() -> None:
    if _process.contexts and _process.pid != os.getpid():
        raise DeviceError(
            "cannot re-initialise simulated CUDA in a forked subprocess",
            remedy="Start the process afresh (spawn), or fork before the first allocation.",
        )


def _open_context(ledger: Ledger, card: Card) -> None:
    if card.uuid not in _process.contexts:
        # Held open until the process ends: whoever looks at this process from outside (or
        # considers forking it) finds the context among its files, as with a driver's device node.
        _process.contexts[card.uuid] = os.open(
            ledger.directory / f"{CONTEXT_PREFIX}{card.uuid}",
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            0o600,
        )
        _process.pid = os.getpid()


def _visible_cards() -> tuple[Ledger, list[Card]]:
    directory = os.environ.get(LEDGER_VARIABLE)
    if not directory:
        raise DeviceError(
            "there is no simulated GPU in this process",
            remedy="Run under Tonnage with simulated cards: pytest --pack --gpus sim:1x24",
        )
    if _process.ledger is None or _process.ledger.directory != Path(directory):
        _process.ledger = Ledger(Path(directory))
    ledger = _process.ledger
    by_uuid = {card.uuid: card for card in ledger.cards}
    visible = visible_gpus(os.environ.get(CUDA_MASK), list(by_uuid))
    return ledger, [by_uuid[each.uuid] for each in visible]


def _card(cards: list[Card], device: int) -> Card:
    if 0 <= device < len(cards):
        return cards[device]
    if cards:
        raise DeviceError(
            f"invalid device ordinal {device}: {len(cards)} simulated visible here, counted from 0"
        )
    raise DeviceError(
        f"no simulated GPU is visible here ({CUDA_MASK}={os.environ.get(CUDA_MASK)!r})",
        remedy="Declare that the test needs one, such as pytest.mark.gpu_1, "
        "and run with simulated cards: pytest --pack --gpus sim:1x24",
    )


@dataclass(frozen=True, slots=True)
class _Cap:
    """The most one process tree may hold on a card, and the variable that says so."""

    mib: int
    source: str


def _cap(card: Card) -> _Cap | None:
    caps = []
    for name in CAP_VARIABLES:
        text = os.environ.get(name)
        if not text:
            continue
        try:
            fraction = float(text)
        except ValueError:
            fraction = math.nan
        if not 0 <= fraction <= 1:
            raise DeviceError(
                f"{text!r} is no fraction of a card", where=name, remedy="Give 0 to 1, such as 0.5."
            )
        # Rounded up: a fraction made from whole MiB must give those MiB back.
        caps.append(_Cap(math.ceil(fraction * card.capacity_mib - 1e-6), f"{name}={text}"))
    return min(caps, key=lambda cap: cap.mib, default=None)


def _owner() -> str:
    """Whom a cap counts together: an attempt's mark survives in all its descendants."""
    test = os.environ.get("TONNAGE_TEST")
    if test:
        return f"{test} (attempt {os.environ.get('TONNAGE_ATTEMPT', '1')})"
    return f"session {os.getsid(0)}"


def _shortage_text(mib: int, device: int, card: Card, cap: _Cap | None, shortage: Shortage) -> str:
    text = (
        f"CUDA out of memory (simulated). Tried to allocate {_gib(mib)}. "
        f"GPU {device} has a total capacity of {_gib(card.capacity_mib)} "
        f"of which {_gib(shortage.free_mib)} is free."
    )
    if cap is not None and shortage.cap_left_mib is not None and mib > shortage.cap_left_mib:
        text += (
            f" This process tree is limited to {_gib(cap.mib)} by {cap.source}"
            f" and has {_gib(max(0, shortage.cap_left_mib))} of that left."
        )
    for held in shortage.holders:
        text += f" Process {held.pid}, {held.owner}, has {_gib(held.mib)} in use."
    return text


def _shortage_remedy(mib: int, shortage: Shortage) -> str:
    if mib > shortage.free_mib:
        return "Declare what the test needs, so that it is not packed beside tests this large."
    return "Declare as much as the test needs: the limit follows the declaration."


def _gib(mib: int) -> str:
    return f"{mib / MIB_PER_GIB:.2f} GiB"
