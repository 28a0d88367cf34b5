"""What a killed run leaves behind ends: at once, or with the next run if its zygote died too."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.groups import own_group
from tests.packed import PATIENCE_S, wait_until

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(240),
]

SUITE = """
import subprocess, time
from pathlib import Path

def test_it():
    # Below nobody, in a session of its own, without any environment.
    shell = "sleep 600 & echo $! > pid.new; mv pid.new pid"
    subprocess.run(["/bin/sh", "-c", shell], env={}, start_new_session=True)
    time.sleep(600)
"""


@pytest.fixture
def group(tmp_path):
    with own_group(f"{tmp_path.name}-{os.getpid()}") as directory:
        yield directory


def packed_in(group: Path, directory: Path, *args: str) -> "subprocess.Popen[str]":
    """A packed run that was started in this group."""
    enter = f'echo $$ > "{group}/cgroup.procs"; exec "$@"'
    pytest_ = [sys.executable, "-m", "pytest", "--pack", "--gpus", "none", "--isolation", "test"]
    return subprocess.Popen(
        ["/bin/sh", "-c", enter, "sh", *pytest_, *args],
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
    )


def has_ended(pid: int) -> bool:
    """Whether it is gone, or waits for whoever has inherited it to take note."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_the_next_run_ends_what_it_left_and_says_so(group, pytester):
    pytester.makepyfile(SUITE)
    with packed_in(group, pytester.path) as run:
        wait_until((pytester.path / "pid").exists)
        left = int((pytester.path / "pid").read_text())
        [zygote] = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(run.pid, signal.SIGSTOP)  # so that it cannot clean up in between
        os.kill(int(zygote), signal.SIGKILL)
        os.kill(run.pid, signal.SIGKILL)
    assert not has_ended(left)
    with packed_in(group, pytester.path, "-k", "nothing") as following:
        output, _ = following.communicate(timeout=PATIENCE_S)
    assert f"a run that was killed had left processes behind, now ended: pid {left}" in output
    wait_until(lambda: has_ended(left))
    assert [path.name for path in group.iterdir() if path.is_dir()] == []


def test_a_killed_controllers_group_goes_with_its_zygote(group, pytester):
    pytester.makepyfile(SUITE)
    with packed_in(group, pytester.path) as run:
        wait_until((pytester.path / "pid").exists)
        left = int((pytester.path / "pid").read_text())
        os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: has_ended(left) and not any(path.is_dir() for path in group.iterdir()))
    # The zygote's last step was out of its own group into the one around it.
    wait_until(lambda: not (group / "cgroup.procs").read_text())
