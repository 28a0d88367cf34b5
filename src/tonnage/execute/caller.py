"""What a run has to do with its caller: what it is told, whom it tells, and how it is stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tonnage.execute import messages
from tonnage.execute.attempts import Audience
from tonnage.execute.caps import Caps
from tonnage.execute.launch import Launched
from tonnage.execute.undeclared import Undeclared
from tonnage.markers.requirement import Isolation
from tonnage.record.measured import Measured


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run is told: what to collect, and Tonnage's own settings."""

    opening: messages.OpenSession
    launched: Launched
    run_id: str
    slots: int
    memory_mib: int | None
    isolation: Isolation | None
    undeclared: Undeclared
    vram_margin: float
    timeout_grace_s: float
    interrupt_grace_s: float
    slow_after_s: float
    sample_interval_s: float
    inherit_output: bool
    caps: Caps = field(default_factory=Caps)
    measured: Mapping[str, Measured] = field(default_factory=dict)  # by node id


class Listener(Audience, Protocol):
    """Who is told what happens, in the run's own thread."""

    def restore_report(self, data: dict[str, Any]) -> Any:
        """A report object from its serialised form."""

    def on_warning(self, warning: messages.WarningRecorded) -> None:
        """A warning was recorded in a test process."""

    def on_status(self, lines: Sequence[str]) -> None:
        """Somebody asked what the run is doing; this is it."""

    def asks_for_status(self) -> bool:
        """Whether somebody did, other than by signal."""

    def on_worker_output(self, worker_output: str) -> None:
        """Plugins in a test process, or in the zygote at its end, published this."""

    def wants_to_stop(self) -> bool:
        """Whether no more tests should run (`-x`, `--maxfail`)."""

    def on_hangup(self) -> None:
        """The terminal is gone, if there was one: nothing can be written to it any more."""

    def on_tick(self) -> None:
        """A moment to redraw."""


class StopRun(Exception):  # noqa: N818 - nobody's error: the run was asked to end, and has
    """The run ended before its last test: by a signal, or because a test asked for it.

    `exits`: the test left the session as `pytest.exit` does; `exit_status` None: pytest's own for
    that.
    """

    def __init__(
        self,
        reason: str,
        *,
        signal_number: int | None = None,
        exits: bool = False,
        exit_status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.signal_number = signal_number
        self.exits = exits
        self.exit_status = exit_status
