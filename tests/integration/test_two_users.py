"""Two packed runs of two users at the same time, on one card that a driver library shows."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.fake_nvml import fake_nvml, fake_nvml_library
from tests.packed import PATIENCE_S, wait_until

__all__ = ["fake_nvml", "fake_nvml_library"]

CARD = "GPU-11111111-2222-3333-4444-555555555555"
NOBODY = 65534
# Another user, who may read what this one has installed, wherever that is, and no more.
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
    "--bounding-set=-all,+dac_read_search",
]


def why_not() -> str:
    """Why this machine cannot run something as somebody else; empty when it can."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "only root can start a run of another user"
    if shutil.which("setpriv") is None:
        return "there is no setpriv"
    command = [*AS_NOBODY, sys.executable, "-c", "import tonnage"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip()


WHY_NOT = why_not()
pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "it can"),
]

SUITE = """
import time, pytest
from pathlib import Path

@pytest.mark.gpu_0
def test_says_that_the_first_tests_were_chosen():
    Path("chose").touch()

@pytest.mark.gpu_1
@pytest.mark.max_vram_gib(10)
@pytest.mark.parametrize("n", range(2))
def test_takes(n):
    Path("began").touch()
    while not Path("go").exists():
        time.sleep(0.005)
"""


class Run:
    """A packed run of one user in a directory of theirs."""

    def __init__(self, place: Path, user: str, environment: dict[str, str]) -> None:
        self.directory = place / user
        self.directory.mkdir()
        (self.directory / "test_it.py").write_text(SUITE)
        if user == "nobody":
            for path in (self.directory, self.directory / "test_it.py"):
                os.chown(path, NOBODY, NOBODY)
        self.process = subprocess.Popen(
            [
                *(AS_NOBODY if user == "nobody" else []),
                *(sys.executable, "-m", "pytest", "--pack", "--slots", "4", "--gpus", "nvml"),
            ],
            cwd=self.directory,
            env={**environment, "HOME": str(self.directory), "TMPDIR": str(self.directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def has(self, name: str) -> bool:
        """Whether a test has left its sign."""
        return (self.directory / name).exists()

    def finish(self) -> str:
        """Let the tests end, and wait for all that is printed."""
        (self.directory / "go").touch()
        return self.process.communicate(timeout=PATIENCE_S)[0]


@pytest.fixture
def place():
    """A directory that any user may enter and write to, as pytest's own ones are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o1777)
        yield Path(directory)


def reserved_mib(place: Path) -> int:
    """What all runs together say they have reserved now."""
    files = [json.loads(path.read_text()) for path in (place / "locks").glob("*.run")]
    return sum(held for file in files for held, _ in file["cards"].values())


@pytest.mark.parametrize(("first", "second"), [("root", "nobody"), ("nobody", "root")])
def test_one_waits_for_what_the_other_has_reserved_until_that_is_killed(
    place, fake_nvml, first, second
):
    fake_nvml.gpu(CARD, 24 * 1024)
    environment = {**os.environ, **fake_nvml.environment, "TONNAGE_LOCK_DIR": str(place / "locks")}
    earlier = Run(place, first, environment)
    wait_until(lambda: earlier.has("began") and reserved_mib(place) == 20 * 1024)
    later = Run(place, second, environment)
    wait_until(lambda: later.has("chose"))
    assert not later.has("began")
    earlier.process.kill()
    earlier.process.communicate()
    output = later.finish()
    assert later.process.returncode == 0, output
    assert "3 passed" in output
    assert f"another run shares the GPUs: pid {earlier.process.pid} of {first} " in output
