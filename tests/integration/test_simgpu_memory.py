"""Simulated memory as a suite under test meets it: each program here runs in its own process."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tonnage.devices.backend import ProcessUse
from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]


@dataclass
class Run:
    """A run's simulated cards, and programs started on them."""

    devices: object
    stack: contextlib.ExitStack

    def used_gib(self):
        return [self.devices.backend.read_used_mib(gpu.uuid) / 1024 for gpu in self.devices.gpus]

    def start(self, program, **environ):
        """Start a program that prints `ready` when it has got as far as it shall."""
        process = self.stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", program],
                env={**self.devices.base_environment, **environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self.stack.callback(process.kill)
        assert process.stdout.readline() == "ready\n"
        return process

    def output(self, program, **environ):
        """Run a program to its end and give what it printed; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**self.devices.base_environment, **environ},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout.strip()


@pytest.fixture
def run():
    """Two simulated cards of 24 GiB."""
    with contextlib.ExitStack() as stack:
        devices = open_devices(parse_gpu_spec("sim:2x24"), {})
        stack.callback(devices.close)
        yield Run(devices, stack)


HOLD = """
import sys
from tonnage.testkit import simgpu
simgpu.allocate(6)
print("ready", flush=True)
sys.stdin.read()
"""

COMPLAIN = """
from tonnage.errors import TonnageError
from tonnage.testkit import simgpu
try:
    simgpu.allocate({gib}, device={device})
except TonnageError as error:
    print(type(error).__name__, error)
"""


def complaint(gib=1, device=0):
    return COMPLAIN.format(gib=gib, device=device)


def test_memory_lasts_as_long_as_its_context(run):
    inside, after = run.output(
        """
from tonnage.testkit import simgpu
with simgpu.allocate(4) as memory:
    print(memory.mib, simgpu.memory_info().free_mib)
print(simgpu.memory_info().free_mib, simgpu.memory_info().total_mib)
"""
    ).splitlines()
    assert inside == f"4096 {20 * 1024}"
    assert after == f"{24 * 1024} {24 * 1024}"


def test_memory_left_alone_lasts_as_long_as_its_process(run):
    process = run.start(HOLD)
    assert run.used_gib() == [6, 0]
    process.communicate()
    assert run.used_gib() == [0, 0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_memory_comes_back_however_its_process_dies(run, number):
    process = run.start(HOLD)
    process.send_signal(number)
    process.wait()
    assert run.used_gib() == [0, 0]


def test_a_zombie_holds_no_memory(run):
    process = run.start(HOLD)
    process.kill()
    # Waits for the death without collecting it, as a supervisor that is busy elsewhere.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert run.used_gib() == [0, 0]
    assert run.devices.backend.read_processes(run.devices.gpus[0].uuid) == ()


def test_a_process_that_leaves_without_cleaning_up_frees_its_memory(run):
    run.output("import os; from tonnage.testkit import simgpu; simgpu.allocate(6); os._exit(0)")
    assert run.used_gib() == [0, 0]


def test_processes_share_a_card_until_it_is_full(run):
    first, second = run.start(HOLD), run.start(HOLD)
    uuid = run.devices.gpus[0].uuid
    assert set(run.devices.backend.read_processes(uuid)) == {
        ProcessUse(first.pid, 6144),
        ProcessUse(second.pid, 6144),
    }
    text = run.output(complaint(gib=12.5))
    assert text.startswith("OutOfMemoryError CUDA out of memory")
    assert "Tried to allocate 12.50 GiB" in text
    assert "total capacity of 24.00 GiB of which 12.00 GiB is free" in text
    assert f"Process {first.pid}," in text
    assert run.output(complaint(gib=12)) == ""


def test_an_attempt_is_named_in_a_neighbours_out_of_memory(run):
    run.start(HOLD, TONNAGE_TEST="tests/test_a.py::test_large", TONNAGE_ATTEMPT="2")
    assert "tests/test_a.py::test_large (attempt 2), has 6.00 GiB" in run.output(complaint(gib=20))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [("1", "1 [0, 5]"), ("1,0", "2 [0, 5]"), ("GPU-00000001", "1 [0, 5]"), ("0", "1 [5, 0]")],
)
def test_devices_are_counted_through_the_mask(run, mask, expected):
    process = run.start(
        """
import sys
from tonnage.testkit import simgpu
simgpu.allocate(5)
print("ready", flush=True)
print(simgpu.device_count(), flush=True)
sys.stdin.read()
""",
        CUDA_VISIBLE_DEVICES=mask,
    )
    count = process.stdout.readline().strip()
    assert f"{count} {[int(gib) for gib in run.used_gib()]}" == expected


@pytest.mark.parametrize("mask", ["", "-1", "7"])
def test_behind_a_mask_that_leaves_nothing_there_is_no_card(run, mask):
    text = run.output(complaint(), CUDA_VISIBLE_DEVICES=mask)
    assert text.startswith("DeviceError no simulated GPU is visible here")
    assert "--gpus sim:" in text
    program = "from tonnage.testkit import simgpu; print(simgpu.device_count())"
    assert run.output(program, CUDA_VISIBLE_DEVICES=mask) == "0"


def test_a_card_beyond_the_last_is_an_error(run):
    assert "invalid device ordinal 2: 2 simulated" in run.output(complaint(device=2))


def test_outside_a_simulated_run_the_remedy_is_named(run):
    text = run.output(complaint(), TONNAGE_SIM_LEDGER="")
    assert text.startswith("DeviceError there is no simulated GPU")
    assert "pytest --pack --gpus sim:1x24" in text


def test_cards_of_a_run_that_was_killed_are_swept_away_by_the_next(tmp_path):
    program = """
import os
from tonnage.devices.open import open_devices
from tonnage.devices.spec import parse_gpu_spec
devices = open_devices(parse_gpu_spec("sim:1x24"), {})
print(devices.base_environment["TONNAGE_SIM_LEDGER"], flush=True)
os.kill(os.getpid(), 9)
"""
    ledgers = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        ledgers.append(done.stdout.strip())
    assert [os.path.exists(ledger) for ledger in ledgers] == [False, True]


def test_a_run_that_has_ended_took_its_cards_along(run):
    run.devices.close()
    assert "as long as the run that made it" in run.output(complaint())


@pytest.mark.parametrize("name", ["TONNAGE_VRAM_FRACTION", "DYN_GPU_MEMORY_FRACTION_OVERRIDE"])
def test_a_cap_limits_what_one_process_may_take(run, name):
    assert run.output(complaint(gib=6), **{name: "0.25"}) == ""
    text = run.output(complaint(gib=6.5), **{name: "0.25"})
    assert text.startswith("OutOfMemoryError CUDA out of memory")
    assert f"limited to 6.00 GiB by {name}=0.25" in text


def test_the_smaller_cap_wins(run):
    caps = {"TONNAGE_VRAM_FRACTION": "0.5", "DYN_GPU_MEMORY_FRACTION_OVERRIDE": "0.25"}
    assert "by DYN_GPU_MEMORY_FRACTION_OVERRIDE" in run.output(complaint(gib=8), **caps)


def test_a_cap_counts_the_whole_process_tree_of_an_attempt(run):
    mine = {"TONNAGE_TEST": "test_mine", "TONNAGE_VRAM_FRACTION": "0.5"}
    run.start(HOLD, **mine)
    assert "has 6.00 GiB of that left" in run.output(complaint(gib=7), **mine)
    assert run.output(complaint(gib=7), **{**mine, "TONNAGE_TEST": "test_other"}) == ""


@pytest.mark.parametrize("text", ["half", "2", "-0.5", "nan"])
def test_a_cap_that_is_no_fraction_is_an_error(run, text):
    assert f"TONNAGE_VRAM_FRACTION: '{text}' is no fraction" in run.output(
        complaint(), TONNAGE_VRAM_FRACTION=text
    )


def test_a_context_does_not_survive_a_fork(run):
    text = run.output(
        """
import os
from tonnage.testkit import simgpu
with simgpu.allocate(4):
    if os.fork() == 0:
        try:
            simgpu.allocate(1)
        except Exception as error:
            print(type(error).__name__, error, flush=True)
        os._exit(0)
    os.wait()
"""
    )
    assert text.startswith("DeviceError cannot re-initialise simulated CUDA in a forked subprocess")


def test_a_process_without_a_context_may_fork_and_the_child_use_the_card(run):
    """The memory is the child's, and dies with it."""
    text = run.output(
        """
import os
from tonnage.testkit import simgpu
simgpu.device_count(), simgpu.memory_info()
if os.fork() == 0:
    simgpu.allocate(4)
    print(simgpu.memory_info().free_mib, flush=True)
    os._exit(0)
os.wait()
print(simgpu.memory_info().free_mib)
"""
    )
    assert text.split() == [str(20 * 1024), str(24 * 1024)]


def test_a_fork_that_leaves_its_parents_block_frees_nothing(run):
    text = run.output(
        """
import os
from tonnage.testkit import simgpu
pid = 0
with simgpu.allocate(4):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        print(simgpu.memory_info().free_mib, flush=True)
"""
    )
    assert text == str(20 * 1024)


def test_a_live_context_is_seen_from_outside(run):
    process = run.start(HOLD)
    files = os.listdir(f"/proc/{process.pid}/fd")
    targets = [os.readlink(f"/proc/{process.pid}/fd/{name}") for name in files]
    ledger = run.devices.base_environment["TONNAGE_SIM_LEDGER"]
    assert f"{ledger}/context-{run.devices.gpus[0].uuid}" in targets


def test_a_live_context_forbids_forking_and_a_mere_look_does_not(run):
    before, after = run.output(
        """
from tonnage.devices.fork_safety import current_hazards
from tonnage.testkit import simgpu
simgpu.memory_info(), simgpu.device_count()
print(current_hazards())
simgpu.allocate(0)
print(current_hazards())
"""
    ).splitlines()
    assert before == "()"
    assert "simulated GPU" in after


def test_a_writer_killed_at_any_moment_leaves_a_ledger_that_works(run):
    for _ in range(5):
        process = run.start(
            """
from tonnage.testkit import simgpu
print("ready", flush=True)
while True:
    with simgpu.allocate(2):
        print(simgpu.memory_info().free_mib, flush=True)
"""
        )
        process.stdout.readline()
        process.kill()
        process.wait()
        assert run.used_gib() == [0, 0]
        assert run.output(complaint(gib=24)) == ""


def test_a_lock_dies_with_its_holder(run):
    holder = run.start(
        """
import fcntl, os, sys
lock = os.open(os.environ["TONNAGE_SIM_LEDGER"] + "/lock", os.O_RDWR | os.O_CREAT)
fcntl.lockf(lock, fcntl.LOCK_EX)
print("ready", flush=True)
sys.stdin.read()
"""
    )
    holder.kill()
    holder.wait()
    assert run.output(complaint(gib=24)) == ""


def test_processes_side_by_side_never_take_more_than_there_is(run):
    """Each takes 1 GiB eight times and says how often it succeeded: 40 wanted, 24 there."""
    program = """
import sys
from tonnage.testkit import simgpu
print("ready", flush=True)
sys.stdin.readline()
granted = 0
for _ in range(8):
    try:
        simgpu.allocate(1)
        granted += 1
    except simgpu.OutOfMemoryError:
        pass
print(granted, flush=True)
sys.stdin.readline()
"""
    processes = [run.start(program) for _ in range(5)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    granted = [int(process.stdout.readline()) for process in processes]
    assert sum(granted) == 24
    assert run.used_gib() == [24, 0]
