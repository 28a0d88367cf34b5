"""From memory taken by real processes to whose it is, through the sampler."""

import contextlib
import subprocess
import sys

import pytest

from tonnage.clock import SystemClock
from tonnage.devices.attribution import attribute
from tonnage.devices.open import open_devices
from tonnage.devices.processes import process_relations
from tonnage.devices.sampler import Sampler
from tonnage.devices.spec import parse_gpu_spec

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

HOLD = """
import sys
from tonnage.testkit import simgpu
simgpu.allocate({gib})
print("ready", flush=True)
sys.stdin.read()
"""

# A leader whose child, in a session of its own, holds the memory.
LEAD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1]], start_new_session=True)
"""

# A leader that has ended; its child lives on in the session, adopted by init.
LEAVE = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
"""


@pytest.fixture
def devices():
    devices = open_devices(parse_gpu_spec("sim:1x24"), {})
    yield devices
    devices.close()


@pytest.fixture
def start(devices):
    """Starts a program in a session of its own, and ends it with the test."""
    with contextlib.ExitStack() as stack:

        def start(program, *arguments):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program, *arguments],
                    env=devices.base_environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
            assert process.stdout.readline() == "ready\n"
            return process

        yield start


def read(devices, leaders):
    """One reading of the card, divided among the attempts that `leaders` lead."""
    [gpu] = devices.gpus
    sampler = Sampler(devices.backend, [gpu.uuid], 1.0, lambda reading: None, SystemClock())
    reading = sampler.read_now()
    pids = [process.pid for process in reading.processes[gpu.uuid]]
    result = attribute(reading, leaders, process_relations(pids))
    own = {attempt: gpus[gpu.uuid] for attempt, gpus in result.by_attempt.items()}
    return own, result.foreign_mib[gpu.uuid], result.method


def test_memory_is_charged_to_the_attempt_whose_process_tree_holds_it(devices, start):
    direct = start(HOLD.format(gib=1))
    nested = start(LEAD, HOLD.format(gib=2))
    start(HOLD.format(gib=4))
    leaders = {direct.pid: "direct", nested.pid: "nested"}
    assert read(devices, leaders) == ({"direct": 1024, "nested": 2048}, 4096, "simulated")


def test_memory_of_a_child_that_outlives_its_leader_is_still_the_attempts(devices, start):
    leader = start(LEAVE, HOLD.format(gib=3))
    leader.wait()
    assert read(devices, {leader.pid: "gone"}) == ({"gone": 3072}, 0, "simulated")


def test_memory_that_came_back_is_nobodys(devices, start):
    leader = start(HOLD.format(gib=3))
    leader.kill()
    leader.wait()
    assert read(devices, {leader.pid: "ended"}) == ({}, 0, "simulated")
