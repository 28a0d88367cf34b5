"""The sampler: reads every GPU again and again, from a thread that cannot hurt the run.

All reading happens in that one thread. A driver that raises gives an unknown value; one that
hangs leaves a thread behind that dies with the process, and whoever asked gets an unknown
reading after a bounded wait.
"""

import threading
from collections.abc import Callable, Sequence

from tonnage.clock import Clock
from tonnage.devices.backend import DeviceBackend, DeviceReading, ProcessUse

__all__ = ["PATIENCE_S", "DeviceReading", "Sampler"]

# A driver under load answers in milliseconds; one that resets a card takes seconds.
PATIENCE_S = 5.0


class Sampler:
    """Calls `on_reading`, from its own thread, with a new reading at least every `interval_s`."""

    def __init__(
        self,
        backend: DeviceBackend,
        uuids: Sequence[str],
        interval_s: float,
        on_reading: Callable[[DeviceReading], None],
        clock: Clock,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._backend = backend
        self._uuids = tuple(uuids)
        self._interval_s = interval_s
        self._on_reading = on_reading
        self._clock = clock
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._requests = 0  # asked for so far
        self._served = 0  # answered by a reading that began after the asking
        self._latest: DeviceReading | None = None
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="tonnage-sampler", daemon=True)

    def start(self) -> None:
        """Begin; the first reading is taken at once."""
        self._thread.start()

    def request(self) -> None:
        """Take a reading now instead of at the next interval. Does not wait for it."""
        with self._changed:
            self._requests += 1
            self._changed.notify_all()

    def read_now(self) -> DeviceReading:
        """A reading that began after this call. From any thread; all unknown when none comes."""
        if not self._thread.is_alive() or threading.current_thread() is self._thread:
            return self._read()
        with self._changed:
            self._requests += 1
            mine = self._requests
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._served >= mine or self._is_stopping, self._patience_s
            )
            if self._served >= mine and self._latest is not None:
                return self._latest
        return self._unknown()

    def stop(self) -> None:
        """End the thread and wait for it; a reading that hangs is waited for a bounded time."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(self._patience_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._is_stopping:
                    return
                serving = self._requests
            reading = self._read()
            with self._changed:
                self._latest = reading
                self._served = serving
                self._changed.notify_all()
            self._on_reading(reading)
            with self._changed:
                # Reading takes part of the interval, so that the rate is the one asked for.
                rest_s = max(0.0, reading.at_s + self._interval_s - self._clock.monotonic_s())
                self._changed.wait_for(
                    lambda: self._requests > self._served or self._is_stopping, rest_s
                )

    def _read(self) -> DeviceReading:
        at_s = self._clock.monotonic_s()
        used_mib: dict[str, int | None] = {}
        processes: dict[str, tuple[ProcessUse, ...] | None] = {}
        for uuid in self._uuids:
            try:
                used_mib[uuid] = self._backend.read_used_mib(uuid)
                processes[uuid] = self._backend.read_processes(uuid)
            except Exception:
                # Backends answer None themselves; this holds for one that breaks its promise.
                used_mib.setdefault(uuid, None)
                processes[uuid] = None
        return DeviceReading(at_s, used_mib, processes, self._backend.name)

    def _unknown(self) -> DeviceReading:
        unknown_used: dict[str, int | None] = dict.fromkeys(self._uuids)
        unknown_processes: dict[str, tuple[ProcessUse, ...] | None] = dict.fromkeys(self._uuids)
        return DeviceReading(
            self._clock.monotonic_s(), unknown_used, unknown_processes, self._backend.name
        )
