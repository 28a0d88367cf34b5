"""Two packed runs at the same time on one simulated card, whose ledger neither of them made."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from tests.packed import PATIENCE_S, wait_until

from tonnage.devices.ledger import LEDGER_VARIABLE, Ledger, cards_of

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who lives"),
]

CAPACITY_MIB = 24 * 1024
SUITE = """
import os, time, pytest
from pathlib import Path
from tonnage.testkit import simgpu

HERE = Path(__file__).parent

@pytest.mark.gpu_0
def test_says_that_the_first_tests_were_chosen():
    (HERE / "chose").touch()

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(10)
@pytest.mark.parametrize("n", range(COUNT))
def test_takes(n):
    # Out of memory if what the two runs start together is more than the card.
    with simgpu.allocate(10):
        (HERE / "began").touch()
        while not (HERE / "go").exists():
            time.sleep(0.005)
        time.sleep(0.02)
"""


class Run:
    """A packed run in a directory of its own."""

    def __init__(self, directory, ledger, count):
        directory.mkdir()
        (directory / "test_it.py").write_text(SUITE.replace("COUNT", str(count)))
        (directory / "pyproject.toml").write_text("[tool.tonnage]\nsample_interval_s = 0.02\n")
        self.directory = directory
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pack"),
                *("--slots", "4", "--gpus", "sim:1x24"),
            ],
            cwd=directory,
            env={**os.environ, LEDGER_VARIABLE: str(ledger)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def go(self):
        (self.directory / "go").touch()

    def has(self, name):
        """Whether a test has left its sign: `chose`, before or after it `began`."""
        return (self.directory / name).exists()

    def finish(self):
        return self.process.communicate(timeout=PATIENCE_S)[0]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a ledger of one card of 24 GiB."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "ledger").mkdir()
    Ledger.create(tmp_path / "ledger", cards_of([CAPACITY_MIB]))
    return tmp_path


def reserved_mib(place):
    """What all runs together say they have reserved now, by file."""
    found = {}
    for path in (place / "ledger" / "reservations").glob("*.run"):
        cards = json.loads(path.read_text())["cards"]
        found[path.name] = sum(reserved for reserved, _ in cards.values())
    return found


def test_they_never_overbook_the_card_and_both_end(place):
    runs = [Run(place / name, place / "ledger", 5) for name in ("a", "b")]
    wait_until(lambda: all(each.has("chose") for each in runs))
    wait_until(lambda: any(each.has("began") for each in runs))
    assert sum(reserved_mib(place).values()) == 2 * 10 * 1024
    for each in runs:
        each.go()
    outputs = [each.finish() for each in runs]
    for each, output in zip(runs, outputs, strict=True):
        assert each.process.returncode == 0, output
        assert "6 passed" in output
    assert any("another run shares the GPUs" in output for output in outputs)
    assert reserved_mib(place) == {}


def test_a_killed_runs_reservations_vanish_and_the_other_goes_on(place):
    first = Run(place / "first", place / "ledger", 2)
    wait_until(lambda: sum(reserved_mib(place).values() or [0]) == 2 * 10 * 1024)
    second = Run(place / "second", place / "ledger", 2)
    second.go()
    wait_until(lambda: second.has("chose"))
    assert not second.has("began")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    output = second.finish()
    assert second.process.returncode == 0, output
    assert re.search(r"another run shares the GPUs: pid \d+ of \S+ has reserved 20.0 GiB", output)
    first.process.stdout.close()
    assert reserved_mib(place) == {}
