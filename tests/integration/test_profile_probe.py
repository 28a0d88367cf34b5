"""Probes of real tests on simulated cards: measured, told apart, and nothing left of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.packed import processes_of

from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec
from tonnage.profile.measure import Bench, crowding, find_least, measure_once
from tonnage.profile.model import (
    NO_CAP,
    Cap,
    CapKind,
    PhaseName,
    ProbeEnded,
    ProbeOutcome,
    ProbeSettings,
    ProbeStarted,
    Verdict,
)
from tonnage.profile.probe import Stopped, Subject
from tonnage.profile.space import space_for

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(120),
]

ROOT = Path(__file__).resolve().parents[2]
CARD_MIB = 24 * 1024

SUITE = """
import os, subprocess, sys, time
import pytest

HOLDER = '''
import time
from tonnage.testkit import simgpu
simgpu.allocate(2)
print("held", flush=True)
time.sleep(600)
'''


def test_leaves_a_server():
    server = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"held\\n"
    time.sleep(0.3)


def test_crashes():
    os.abort()


def test_hangs():
    print("before it hung")
    time.sleep(600)


@pytest.mark.skip(reason="not today")
def test_skips():
    pass
"""


@pytest.fixture
def devices():
    devices = open_devices(parse_gpu_spec("sim:1x24"), {})
    yield devices
    devices.close()


@pytest.fixture
def subject(tmp_path):
    (tmp_path / "test_suite.py").write_text(SUITE)
    # What the project asks for must not take the test out of the probe's process.
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --pack --gpus sim:1x8 -n 2\n")
    return lambda name: Subject(f"test_suite.py::{name}", (), tmp_path)


def bench_of(devices, **settings):
    quick = {"baseline_s": 0.1, "teardown_s": 2.0, "ends_early": True, **settings}
    return Bench(devices, (devices.gpus[0].uuid,), ProbeSettings(**quick))


def await_none(marker):
    """Wait until no process carries the marker; the test's own limit bounds it."""
    while processes_of(marker):
        time.sleep(0.05)


def test_the_least_memory_of_the_mock_allocation_is_found(devices):
    events = []
    bench = Bench(
        devices,
        (devices.gpus[0].uuid,),
        ProbeSettings(baseline_s=0.3, teardown_s=2.0, ends_early=True),
        on_event=events.append,
    )
    space = space_for(CapKind.FRACTION, CARD_MIB, is_simulated=True)
    result = find_least(bench, Subject("examples/mock_gpu_alloc", (), ROOT), space)
    assert result.verdict is Verdict.FOUND
    assert result.peak_mib == 4096
    assert 4096 <= result.lowest_passing.mib(CARD_MIB) <= 4096 + 0.05 * CARD_MIB
    assert result.highest_failing.mib(CARD_MIB) < 4096
    assert [type(event) for event in events] == [ProbeStarted, ProbeEnded] * 3
    first = result.probes[0]
    assert (first.method, first.leak_mib, first.survivors) == ("simulated", 0, ())
    assert PhaseName.STEADY in [phase.name for phase in first.phases]


def test_what_a_test_leaves_behind_is_its_leak_and_is_ended(devices, subject):
    result = measure_once(bench_of(devices), subject("test_leaves_a_server"))
    assert result.outcome is ProbeOutcome.PASSED
    assert (result.peak_mib, result.leak_mib) == (2048, 2048)
    assert len(result.survivors) == 1
    assert devices.backend.read_used_mib(devices.gpus[0].uuid) == 0


@pytest.mark.parametrize(
    ("name", "timeout_s", "outcome", "reason"),
    [
        ("test_crashes", 60.0, ProbeOutcome.CRASHED, "its process ended with SIGABRT"),
        ("test_skips", 60.0, ProbeOutcome.SKIPPED, "not today"),
        ("test_hangs", 6.0, ProbeOutcome.TIMEOUT, "it ran longer than it may"),
    ],
)
def test_every_way_of_not_passing_has_its_name(devices, subject, name, timeout_s, outcome, reason):
    result = measure_once(bench_of(devices, timeout_s=timeout_s), subject(name))
    assert (result.outcome, result.reason) == (outcome, reason)
    if outcome is ProbeOutcome.TIMEOUT:
        assert "in test_hangs" in result.output_tail  # the stack of the hang


def test_a_probe_that_is_stopped_leaves_nothing(devices, subject, monkeypatch):
    marker = f"stopped-{os.getpid()}"
    monkeypatch.setenv("PROBE_MARKER", marker)
    stop = threading.Event()
    bench = Bench(
        devices,
        (devices.gpus[0].uuid,),
        ProbeSettings(baseline_s=0.1),
        on_sample=lambda sample: stop.set() if sample.host_mib else None,
        stop=stop,
    )
    with pytest.raises(Stopped):
        bench.probe(subject("test_hangs"), NO_CAP)
    assert processes_of(marker) == []


PROGRAM = """
import sys
from pathlib import Path
from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec
from tonnage.profile.measure import Bench, measure_once
from tonnage.profile.probe import Subject
from tonnage.profile.model import ProbeSettings
devices = open_devices(parse_gpu_spec("sim:1x24"), {})
bench = Bench(
    devices,
    (devices.gpus[0].uuid,),
    ProbeSettings(baseline_s=0.0),
    on_sample=lambda sample: print("running", flush=True) if sample.host_mib else None,
)
measure_once(bench, Subject("test_suite.py::test_hangs", (), Path(sys.argv[1])))
"""


def test_a_profiler_that_is_killed_leaves_no_process(subject):
    directory = subject("").directory
    marker = f"killed-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory)],
        env={**os.environ, "PROBE_MARKER": marker},
        stdout=subprocess.PIPE,
    ) as profiler:
        assert profiler.stdout.readline() == b"running\n"
        assert len(processes_of(marker)) >= 3
        profiler.send_signal(signal.SIGKILL)
    await_none(marker)


def test_a_cap_that_is_too_small_is_told_with_what_was_missing(devices):
    result = bench_of(devices).probe(
        Subject("examples/mock_gpu_alloc", (), ROOT), Cap(CapKind.FRACTION, 0.1)
    )
    assert result.outcome is ProbeOutcome.OUT_OF_MEMORY
    assert result.needed_mib == 4096


def test_who_crowds_a_card_is_named(devices):
    [gpu] = devices.gpus
    assert crowding(devices, gpu.uuid) is None
    hold = "from tonnage.testkit import simgpu; simgpu.allocate(20); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        env={**os.environ, **devices.base_environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as neighbour:
        neighbour.stdout.readline()
        told = crowding(devices, gpu.uuid)
        neighbour.stdin.close()
    assert told.startswith("20.0 GiB of the card's 24.0 GiB are taken by others: pid")
    assert str(neighbour.pid) in told
