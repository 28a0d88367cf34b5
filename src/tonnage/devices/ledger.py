"""The ledger of simulated GPUs: one small file that every process using them shares.

It holds the cards and who has taken how much of which. A taking counts for as long as its
process lives: processes are known by pid and start time, so a process that is killed frees its
memory by dying, as with a real driver, and a recycled pid inherits nothing.

The file is replaced whole, by rename, under a lock that the kernel drops with its holder. A
reader therefore needs no lock, and a writer killed at any instruction leaves the old ledger or
the new one. A leaf: it is imported by the device backend and by suites under test alike.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from tonnage.devices.liveness import Process, Watch, process_start
from tonnage.errors import DeviceError

LEDGER_VARIABLE = "TONNAGE_SIM_LEDGER"
CONTEXT_PREFIX = "context-"

_FORMAT = 1
_FILE = "ledger.json"


@dataclass(frozen=True, slots=True)
class Card:
    """One simulated GPU."""

    uuid: str
    capacity_mib: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Memory one process holds on one card.

    `started` is the process's start in clock ticks since boot (0 where the system does not tell).
    `owner` is whom a memory cap counts together: an attempt, or a session of processes.
    """

    id: int
    uuid: str
    pid: int
    started: int
    mib: int
    owner: str


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why an allocation was refused: what was left of the card, and of the owner's cap."""

    free_mib: int
    cap_left_mib: int | None
    holders: tuple[Allocation, ...]


def cards_of(capacities_mib: Sequence[int]) -> tuple[Card, ...]:
    """Cards of these sizes. Equal sizes give equal UUIDs, so a ledger is recognised by them."""
    return tuple(
        Card(f"GPU-{index:08x}-0000-4000-8000-{capacity:012x}", capacity)
        for index, capacity in enumerate(capacities_mib)
    )


class Ledger:
    """A ledger directory, opened. Safe to use from several threads and across forks."""

    def __init__(self, directory: Path) -> None:
        """Open an existing ledger. Raises DeviceError when there is none or it is unreadable."""
        self.directory = directory
        self._file = str(directory / _FILE)  # joined once: samplers come by many times a second
        self._seen: _Version | None = None
        self.cards = self._current().cards

    @classmethod
    def create(cls, directory: Path, cards: Sequence[Card]) -> "Ledger":
        """Make a ledger in an empty directory. Raises DeviceError when it cannot be written."""
        _write(directory, tuple(cards), (), 1)
        return cls(directory)

    def live(self) -> tuple[Allocation, ...]:
        """What living processes hold, oldest first. Raises DeviceError when the ledger is gone."""
        return self._current().living()

    def on_card(self, uuid: str) -> tuple[Allocation, ...]:
        """What living processes hold on one card, oldest first."""
        return tuple(held for held in self._current().living() if held.uuid == uuid)

    def allocate(
        self, card: Card, mib: int, owner: str, cap_mib: int | None = None
    ) -> Allocation | Shortage:
        """Take `mib` for this process, unless the card or the owner's cap on it is exceeded."""
        with _locked(self.directory):
            version = self._current()
            held = version.living()
            here = tuple(each for each in held if each.uuid == card.uuid)
            free_mib = card.capacity_mib - sum(each.mib for each in here)
            cap_left_mib = None
            if cap_mib is not None:
                cap_left_mib = cap_mib - sum(each.mib for each in here if each.owner == owner)
            if mib > free_mib or (cap_left_mib is not None and mib > cap_left_mib):
                return Shortage(free_mib, cap_left_mib, here)
            pid = os.getpid()
            taken = Allocation(version.next_id, card.uuid, pid, process_start(pid) or 0, mib, owner)
            _write(self.directory, version.cards, (*held, taken), version.next_id + 1)
            return taken

    def release(self, allocation: Allocation) -> None:
        """Give memory back. Harmless when it is back already, or the ledger itself is gone.

        Only the process that took it can: a fork that leaves its parent's `with` block does not.
        """
        if allocation.pid != os.getpid():
            return
        try:
            with _locked(self.directory):
                version = self._current()
                kept = tuple(each for each in version.living() if each.id != allocation.id)
                _write(self.directory, version.cards, kept, version.next_id)
        except DeviceError:
            pass  # the run that owned the cards has ended and taken them along

    def _current(self) -> "_Version":
        # Each version is a file of its own, and the one last read is held open, so its inode
        # cannot be given to a later version: an equal inode is the same content.
        seen = self._seen
        try:
            if seen is None or os.stat(self._file).st_ino != seen.inode:  # noqa: PTH116
                self._seen = seen = _Version(self._file)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unusable(self.directory, error) from error
        return seen


class _Version:
    """The ledger as one write left it, with the file it came from held open."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        self.inode = status.st_ino
        content = json.loads(os.pread(self._descriptor, status.st_size, 0))
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, expected {_FORMAT}")
        self.cards = tuple(Card(*fields) for fields in content["cards"])
        self.next_id: int = content["next_id"]
        self._allocations = tuple(Allocation(*fields) for fields in content["allocations"])
        self._watch = Watch(Process(held.pid, held.started) for held in self._allocations)

    def living(self) -> tuple[Allocation, ...]:
        """What is held by processes that live now, oldest first."""
        ended = self._watch.ended()
        if not ended:
            return self._allocations
        return tuple(
            held for held in self._allocations if Process(held.pid, held.started) not in ended
        )

    def __del__(self) -> None:
        # Readers in other threads may still hold this version when a newer one is found, so it
        # is the last reference, not the finder, that closes the file.
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


def _write(
    directory: Path, cards: Sequence[Card], allocations: Sequence[Allocation], next_id: int
) -> None:
    content = {
        "format": _FORMAT,
        "cards": [astuple(card) for card in cards],
        "allocations": [astuple(held) for held in allocations],
        "next_id": next_id,
    }
    new = directory / f"{_FILE}.new"
    try:
        new.write_text(json.dumps(content), encoding="utf-8")
        new.replace(directory / _FILE)
    except OSError as error:
        raise _unusable(directory, error) from error


def _unusable(directory: Path, error: Exception) -> DeviceError:
    return DeviceError(
        f"the ledger of simulated GPUs in {directory} cannot be used ({error})",
        where=LEDGER_VARIABLE,
        remedy="It lives as long as the run that made it; run with --gpus sim:... again.",
    )


_threads = threading.Lock()


def _renew_after_fork() -> None:
    global _threads
    # The thread that held the lock does not exist in the child, and would never let go of it.
    _threads = threading.Lock()


os.register_at_fork(after_in_child=_renew_after_fork)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Be the only writer of this ledger, among threads and among processes.

    A POSIX record lock, not flock: it belongs to the process, so a child forked meanwhile by
    another thread does not keep it.
    """
    with _threads:
        try:
            descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(directory, error) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
