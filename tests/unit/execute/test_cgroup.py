"""The group of a run, with real groups where this machine has a hierarchy that we may write."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.groups import own_group

from tonnage.execute import cgroup
from tonnage.execute.cgroup import RunCgroup, end_abandoned, own_directory

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
# Starts a process that has nothing of ours: no environment, a session of its own, no parent.
DETACH = """
import os, subprocess
subprocess.Popen(["sh", "-c", "sleep 600 & echo $!"], env={}, start_new_session=True).wait()
"""


@pytest.fixture
def root(tmp_path) -> Iterator[Path]:
    """Where a /proc says that we are in a group of this test's own, out of other runs' way."""
    with own_group(f"{tmp_path.name}-{os.getpid()}") as directory:
        (tmp_path / "hierarchy").symlink_to(directory)
        of_self(tmp_path, "0::/", "41 31 0:38 / /hierarchy rw - cgroup2 cgroup2 rw\n")
        yield tmp_path


@pytest.fixture
def group(root) -> Iterator[RunCgroup]:
    """A run's group; the process that asks for it stays outside."""
    made = RunCgroup.make("1", root)
    assert made is not None
    yield made
    made.remove()


def of_self(root: Path, groups: str, mounts: str) -> None:
    """Write what /proc says of this process."""
    proc = root / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(f"4:memory:/elsewhere\n{groups}\n")
    (proc / "mountinfo").write_text(MOUNTS + mounts)


def detached_in(group: RunCgroup) -> int:
    """The pid of a detached process that came to be inside the group."""
    with subprocess.Popen(
        [sys.executable, "-c", f"input();{DETACH}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        group.enter(child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        return int(child.stdout.readline())


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("kill", ["cgroup.kill", "no such file"], ids=["kernel", "by-hand"])
def test_what_shed_everything_else_is_ended_with_the_group(group, monkeypatch, kill):
    monkeypatch.setattr(cgroup, "_KILL", kill)
    pid = detached_in(group)
    assert group.end() == [f"pid {pid} (sleep 600)"]
    assert not lives(pid)
    assert group.end() == []


def test_groups_below_it_go_with_it(group):
    below = group.path / "of a test"
    below.mkdir()
    pid = detached_in(RunCgroup(below, -1))
    assert group.remove() == [f"pid {pid} (sleep 600)"]
    assert not group.path.exists()


def test_an_abandoned_group_is_emptied_and_removed_but_not_a_living_ones(root):
    groups = {run: RunCgroup.make(run, root) for run in ("living", "killed")}
    pids = {run: detached_in(group) for run, group in groups.items() if group is not None}
    os.close(groups["killed"]._lock)
    assert end_abandoned(root) == [f"pid {pids['killed']} (sleep 600)"]
    assert [lives(pid) for pid in pids.values()] == [True, False]
    assert not groups["killed"].path.exists()
    groups["living"].remove()


@pytest.mark.parametrize(
    ("mount", "path", "expected"),
    [
        ("/ /sys/fs/cgroup rw", "/user.slice/a b", "sys/fs/cgroup/user.slice/a b"),
        ("/ /sys/fs/cgroup/unified rw shared:3", "/", "sys/fs/cgroup/unified"),
        ("/docker/1 /sys/fs/cgroup rw", "/docker/1/below", "sys/fs/cgroup/below"),
        ("/ /mnt/with\\040blank rw", "/x", "mnt/with blank/x"),
        ("/docker/1 /sys/fs/cgroup rw", "/docker/2", None),
        ("/ /sys/fs/cgroup rw", "/../outside", None),
    ],
)
def test_the_own_group_is_where_the_hierarchy_is_mounted(tmp_path, mount, path, expected):
    of_self(tmp_path, f"0::{path}", f"41 31 0:38 {mount} - cgroup2 cgroup2 rw\n")
    assert own_directory(tmp_path) == (None if expected is None else tmp_path / expected)


@pytest.mark.parametrize(
    ("groups", "mounts"),
    [
        ("", ""),
        ("0::/", ""),
        ("", "41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n"),
        ("0::/", "41 31 0:38 / /not/there rw - cgroup2 cgroup2 ro\n"),
    ],
    ids=["version-1", "not-mounted", "in-none", "read-only"],
)
def test_elsewhere_a_run_has_none(tmp_path, groups, mounts):
    of_self(tmp_path, groups, mounts)
    assert RunCgroup.make("run", tmp_path) is None
    assert end_abandoned(tmp_path) == []
