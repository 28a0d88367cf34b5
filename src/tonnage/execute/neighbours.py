"""Deciding beside other runs on the same cards: they are heard before, and told after.

A run takes part where its cards can be another's too: real ones always, simulated ones when
their ledger was made by somebody else. Without such neighbours this costs one lock and the
listing of a directory per decision, and a run without GPU tests pays nothing.
"""

import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tonnage.devices.attribution import DEVICE_DELTA, Attribution
from tonnage.devices.ledger import LEDGER_VARIABLE
from tonnage.devices.open import Devices
from tonnage.devices.reservations import (
    Busy,
    Reservations,
    ReservationsError,
    default_directory,
)
from tonnage.devices.reserved import Neighbour, Reserved, total
from tonnage.execute.happenings import (
    MemoryRead,
    NeighboursRead,
    TimePassed,
    UnitEnded,
    UnitHungry,
)
from tonnage.execute.state import RunState
from tonnage.units import format_gib

# What makes the state look for tests to start. Nothing else needs the machine's turn.
MAY_START = (UnitHungry, UnitEnded, MemoryRead, TimePassed)


class Neighbours:
    """The other runs, as this one's controller meets them."""

    def __init__(
        self,
        devices: Devices,
        run_id: str,
        environ: Mapping[str, str],
        notice: Callable[[str], None],
    ) -> None:
        self._capacities_mib = {gpu.uuid: gpu.capacity_mib for gpu in devices.gpus}
        self._run_id = run_id
        self._outer = environ.get("TONNAGE_RUN")
        self._directory = _meeting_place(devices, environ)
        self._notice = notice
        self._reservations: Reservations | None = None
        self._used_mib: dict[str, int | None] = {}
        self._met: set[str] = set()
        self._is_waiting = False

    def open(self, *, has_gpu_tests: bool) -> None:
        """Meet the others, if there is anything to share; where that fails, say so once."""
        if self._directory is None or not has_gpu_tests:
            return
        try:
            self._reservations = Reservations(self._directory, self._run_id, self._outer)
        except ReservationsError as error:
            self._go_alone(str(error))

    def saw(self, attribution: Attribution) -> None:
        """Remember what our tests were just seen to use: the others need not count it twice."""
        for gpu, method in attribution.methods.items():
            known = method != DEVICE_DELTA
            used_mib = sum(mib.get(gpu, 0) for mib in attribution.by_attempt.values())
            self._used_mib[gpu] = used_mib if known else None

    @contextmanager
    def deciding(self, run_state: RunState, now_s: float) -> Iterator[None]:
        """Around a step of the state: nobody else decides meanwhile, and what it reserves is said.

        When the turn does not come, every card counts as taken for this step.
        """
        reservations = self._reservations
        if reservations is None:
            yield
            return
        with ExitStack() as turn:
            try:
                others = turn.enter_context(reservations.deciding())
            except Busy:
                self._wait(run_state, now_s)
                yield
                return
            except OSError as error:
                self._give_up(run_state, error, now_s)
                yield
                return
            self._is_waiting = False
            self._greet(others)
            run_state.handle(NeighboursRead(*total(others)), now_s)
            yield
            try:
                reservations.publish(self._held(run_state))
            except OSError as error:
                self._give_up(run_state, error, now_s)
        for text in reservations.notices:
            self._notice(text)
        reservations.notices.clear()

    def close(self) -> None:
        """Take our reservations back."""
        if self._reservations is not None:
            self._reservations.close()
            self._reservations = None

    def _held(self, run_state: RunState) -> dict[str, Reserved]:
        return {
            gpu: Reserved(mib, self._used_mib.get(gpu, 0))
            for gpu, mib in run_state.reserved_mib().items()
            if mib
        }

    def _give_up(self, run_state: RunState, error: OSError, now_s: float) -> None:
        """Go on without the others, as the place where we met them is gone or full."""
        assert self._reservations is not None
        self._reservations.close()
        self._reservations = None
        run_state.handle(NeighboursRead({}, {}), now_s)
        self._go_alone(f"{self._directory}: {error.strerror}")

    def _wait(self, run_state: RunState, now_s: float) -> None:
        run_state.handle(NeighboursRead(self._capacities_mib, {}), now_s)
        if not self._is_waiting:
            self._is_waiting = True
            self._notice(
                f"another run keeps {self._directory} locked; no GPU test is started until it "
                "lets go"
            )

    def _greet(self, others: Sequence[Neighbour]) -> None:
        for other in others:
            held = [
                f"{format_gib(reserved.reserved_mib)} of {gpu}"
                for gpu, reserved in other.cards.items()
                if gpu in self._capacities_mib and reserved.reserved_mib
            ]
            if held and other.run not in self._met:
                self._met.add(other.run)
                self._notice(
                    f"another run shares the GPUs: pid {other.pid} of {_user_name(other.user)} "
                    f"has reserved {', '.join(held)}"
                )

    def _go_alone(self, reason: str) -> None:
        self._notice(
            f"other runs on these GPUs are not seen, nor see this one: {reason} "
            "(TONNAGE_LOCK_DIR names another place)"
        )


def _meeting_place(devices: Devices, environ: Mapping[str, str]) -> Path | None:
    """The directory where runs on the same cards meet; None where no other run can have them."""
    if devices.backend is None or not devices.gpus:
        return None
    if devices.backend.name != "simulated":
        return default_directory(environ)
    if devices.own_directory is not None:
        return None
    return Path(devices.base_environment[LEDGER_VARIABLE]) / "reservations"


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
