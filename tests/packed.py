"""Running pytest in a subprocess on a small suite, plain and packed, and reading what it did."""

import importlib.util
import os
import select
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

# A limit for a run that should take about a second, on a machine busy with other things.
PATIENCE_S = 120


def run(pytester: pytest.Pytester, *args: str, pack: bool = True) -> pytest.RunResult:
    """`pytest ARGS` in the suite's directory, packed unless told otherwise."""
    extra = ["--pack", "--slots", "2", "--gpus", "none"] if pack else []
    # An argument of the caller's wins over these: argparse takes the last.
    return pytester.runpytest_subprocess(*extra, *args, timeout=PATIENCE_S)


def load_only(monkeypatch: pytest.MonkeyPatch, *plugins: str) -> None:
    """Have suites that this test runs load our plugin and these, not all that is installed.

    Plugins go by the names of their entry points, those that pytest takes after `-p`.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p {name}" for name in ("tonnage", *plugins)))
    # Nor are they part of the run that this test itself is in.
    for name in [name for name in os.environ if name.startswith(("PYTEST_XDIST_", "TONNAGE_"))]:
        monkeypatch.delenv(name)


def skip_without(module: str, distribution: str) -> None:
    """Skip this test where the module is not installed.

    Without importing it: after a test with `pytester` whatever it has imported is imported anew,
    and NumPy, which some plugins bring along, refuses that.
    """
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{distribution} is not installed")


def outcomes(junit: Path) -> dict[str, str]:
    """Test -> passed, skipped, failure or error, from a JUnit file of our own making."""
    found = {}
    for case in ET.parse(junit).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        found[name] = next((child.tag for child in case if child.tag in KINDS), "passed")
    return found


KINDS = ("skipped", "failure", "error")


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait for something another process does; fails after a long time."""
    with subprocess.Popen(["sleep", str(PATIENCE_S)]) as clock:
        try:
            while not is_true():
                assert clock.poll() is None, "it never came"
                select.select([], [], [], 0.01)
        finally:
            clock.kill()


def processes_of(marker: str) -> list[int]:
    """Pids of processes whose command line or environment holds `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marker.encode() in text and state != "Z":
            found.append(int(entry.name))
    return found
