"""Device readings on their way from the sampler's thread to the run's loop, divided by unit."""

import os
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tonnage.clock import Clock
from tonnage.devices.attribution import Attribution, attribute
from tonnage.devices.backend import DeviceReading
from tonnage.devices.open import Devices
from tonnage.devices.processes import process_relations
from tonnage.devices.sampler import Sampler


@dataclass(frozen=True, slots=True)
class Divided:
    """A reading and whose memory it is, by unit number as text."""

    reading: DeviceReading
    attribution: Attribution


class MemoryWatch:
    """Samples the run's GPUs. Without a GPU it does nothing."""

    def __init__(self, devices: Devices, interval_s: float, wake_fd: int, clock: Clock) -> None:
        self._readings: deque[DeviceReading] = deque()
        self._baseline_mib: dict[str, int] | None = None
        self._wake_fd = wake_fd
        self._sampler: Sampler | None = None
        if devices.backend is not None and devices.gpus:
            uuids = [gpu.uuid for gpu in devices.gpus]
            self._sampler = Sampler(devices.backend, uuids, interval_s, self._on_reading, clock)

    def start(self) -> None:
        """Begin with one reading from before anything runs: the baseline, and who is there."""
        if self._sampler is not None:
            self._sampler.start()
            self._on_reading(self._sampler.read_now())

    def look(self) -> None:
        """Ask for a reading now: something has ended."""
        if self._sampler is not None:
            self._sampler.request()

    def take(
        self,
        leaders: Mapping[int, int],
        reserved: Mapping[int, Mapping[str, int]],
        ended: Collection[int],
    ) -> Iterator[Divided]:
        """The readings since the last call.

        `leaders` maps the pid of each unit to its number; `ended`: units whose process is gone.
        """
        while self._readings:
            reading = self._readings.popleft()
            if self._baseline_mib is None:
                self._baseline_mib = {
                    gpu: used for gpu, used in reading.used_mib.items() if used is not None
                }
            pids = {use.pid for uses in reading.processes.values() for use in uses or ()}
            attribution = attribute(
                reading,
                {pid: str(unit) for pid, unit in leaders.items()},
                process_relations(pids | leaders.keys()) if pids else {},
                {str(unit): held for unit, held in reserved.items()},
                self._baseline_mib,
                {str(unit) for unit in ended},
            )
            yield Divided(reading, attribution)

    def stop(self) -> None:
        """End the sampling."""
        if self._sampler is not None:
            self._sampler.stop()

    def _on_reading(self, reading: DeviceReading) -> None:
        self._readings.append(reading)
        try:
            os.write(self._wake_fd, b"r")
        except OSError:
            return  # full: the loop is awake; closed: it is over
