import pytest

from tonnage.devices.host_memory import host_memory_mib

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def machine(root, files):
    for name, content in {
        "proc/meminfo": "MemTotal:  8388608 kB\nMemFree: 1 kB\n",
        **files,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_without_limits_it_is_what_there_is(tmp_path):
    assert host_memory_mib(machine(tmp_path, {})) == 8192


def test_a_limit_anywhere_above_counts_in_version_2(tmp_path):
    files = {
        "proc/self/cgroup": "0::/pod/container\n",
        "sys/fs/cgroup/pod/container/memory.max": "max\n",
        "sys/fs/cgroup/pod/memory.max": f"{2 * 1024**3}\n",
    }
    assert host_memory_mib(machine(tmp_path, files)) == 2048


def test_a_limit_of_version_1_counts(tmp_path):
    files = {
        "proc/self/cgroup": "5:memory:/docker/abc\n",
        "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{3 * 1024**3}\n",
    }
    assert host_memory_mib(machine(tmp_path, files)) == 3072


def test_where_nothing_is_said_it_is_unknown(tmp_path):
    assert host_memory_mib(tmp_path) is None
