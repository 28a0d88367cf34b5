"""What every device backend promises, asked of each of them alike."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from tests import fake_nvml as nvml

from tonnage.devices.backend import ProcessUse
from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

CARDS_GIB = (22, 80)

HOLDER = """
import sys
from tonnage.testkit import simgpu
simgpu.allocate(float(sys.argv[1]), device=int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.read()
"""


class SimulatedMachine:
    """Simulated cards, held by processes that run this project's own testkit."""

    def __init__(self):
        text = "sim:" + ",".join(f"1x{gib}" for gib in CARDS_GIB)
        self._devices = open_devices(parse_gpu_spec(text), {})
        self.backend = self._devices.backend
        self.uuids = [gpu.uuid for gpu in self.backend.list_gpus()]

    @contextmanager
    def holding(self, gpu, gib):
        """A process that holds memory; gives its pid."""
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(gib), str(gpu)],
            env=self._devices.base_environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
            process.kill()

    def falls_silent(self):
        self.close()

    def close(self):
        self._devices.close()


class NvmlMachine:
    """The NVML backend in a process of its own, over the fake driver library."""

    def __init__(self, fake, backend):
        self._fake = fake
        self.backend = backend
        self._held = []
        self._show()
        self.uuids = [gpu.uuid for gpu in backend.list_gpus()]

    @contextmanager
    def holding(self, gpu, gib):
        """What the driver shows while a process holds memory; gives its pid."""
        held = (gpu, 1000 + len(self._held), gib * 1024)
        self._held.append(held)
        self._show()
        yield held[1]
        self._held.remove(held)
        self._show()

    def falls_silent(self):
        for gpu in range(len(CARDS_GIB)):
            for function in ("memory", "compute", "graphics"):
                self._fake.error(gpu, function, nvml.UNKNOWN)

    def close(self):
        self.backend.close()

    def _show(self):
        self._fake.clear()
        for gpu, gib in enumerate(CARDS_GIB):
            used_mib = sum(mib for place, _, mib in self._held if place == gpu)
            self._fake.gpu(f"GPU-{gpu}", gib * 1024, used_mib)
        for gpu, pid, mib in self._held:
            self._fake.process(gpu, pid, mib)


@pytest.fixture(params=["simulated", "nvml"])
def machine(request):
    """A machine with a 22 and an 80 GiB card."""
    if request.param == "simulated":
        machine = SimulatedMachine()
        yield machine
        machine.close()
        return
    fake = request.getfixturevalue("fake_nvml")
    with fake.backend() as backend:
        machine = NvmlMachine(fake, backend)
        yield machine
        machine.close()


def readings(machine):
    """Per GPU: memory in use, and the processes."""
    backend = machine.backend
    return [(backend.read_used_mib(uuid), backend.read_processes(uuid)) for uuid in machine.uuids]


def test_gpus_are_listed_in_order_with_distinct_uuids(machine):
    gpus = machine.backend.list_gpus()
    assert [gpu.index for gpu in gpus] == [0, 1]
    assert [gpu.capacity_mib for gpu in gpus] == [gib * 1024 for gib in CARDS_GIB]
    assert len({gpu.uuid for gpu in gpus}) == 2
    assert all(gpu.uuid.startswith("GPU-") for gpu in gpus)
    assert machine.backend.list_gpus() == gpus


def test_an_idle_machine_is_known_to_be_idle(machine):
    assert readings(machine) == [(0, ()), (0, ())]


def test_memory_is_seen_on_its_card_by_its_process_and_gone_with_it(machine):
    with machine.holding(1, gib=3) as first:
        assert readings(machine) == [(0, ()), (3072, (ProcessUse(first, 3072),))]
        with machine.holding(1, gib=5) as second:
            used_mib, processes = readings(machine)[1]
            assert used_mib == 8192
            assert set(processes) == {ProcessUse(first, 3072), ProcessUse(second, 5120)}
            assert [process.pid for process in processes] == sorted({first, second})
        assert readings(machine)[1] == (3072, (ProcessUse(first, 3072),))
    assert readings(machine) == [(0, ()), (0, ())]


def test_a_source_that_falls_silent_is_unknown_and_raises_nothing(machine):
    machine.falls_silent()
    assert readings(machine) == [(None, None), (None, None)]
