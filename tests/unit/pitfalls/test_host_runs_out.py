"""Host memory that runs out: who the kernel takes, and how it is known that it did."""

import os
import sys
from pathlib import Path

import pytest

from tonnage.devices.host_memory import oom_kills
from tonnage.execute.family import prefer_for_oom_kill

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("membership", "file", "content"),
    [
        ("0::/pod/tests\n", "pod/tests/memory.events", "oom 5\noom_kill 3\noom_group_kill 0\n"),
        ("4:memory:/pod\n", "memory/pod/memory.oom_control", "under_oom 0\noom_kill 3\n"),
    ],
)
def test_kills_are_counted_in_the_own_control_group(tmp_path, membership, file, content):
    files = {
        "proc/self/cgroup": membership,
        f"sys/fs/cgroup/{file}": content,
        "proc/vmstat": "oom_kill 99\n",
    }
    assert oom_kills(machine(tmp_path, files)) == 3


def test_a_runs_own_group_is_asked_first_where_the_kernel_counts_there(tmp_path):
    files = {"proc/self/cgroup": "0::/pod\n", "sys/fs/cgroup/pod/memory.events": "oom_kill 3\n"}
    root = machine(tmp_path, files)
    group = root / "sys/fs/cgroup/pod/tonnage-run-1"
    assert oom_kills(root, group) == 3
    machine(root, {"sys/fs/cgroup/pod/tonnage-run-1/memory.events": "oom_kill 1\n"})
    assert oom_kills(root, group) == 1


def test_where_the_group_does_not_tell_the_machine_does(tmp_path):
    files = {"proc/self/cgroup": "0::/pod\n", "proc/vmstat": "pgfault 7\noom_kill 2\n"}
    assert oom_kills(machine(tmp_path, files)) == 2


def test_where_nobody_tells_it_is_unknown(tmp_path):
    assert oom_kills(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's choice is Linux's")
def test_a_process_can_be_made_the_kernels_first_choice():
    mine = Path("/proc/self/oom_score_adj")
    before = int(mine.read_text())
    if before > 500:
        pytest.skip("this process is the kernel's first choice already")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            prefer_for_oom_kill()
            os.write(write, mine.read_bytes())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = int(answer.read())
    os.waitpid(child, 0)
    assert said == 500
    assert int(mine.read_text()) == before
