"""CPUs: affinity and cgroup quotas, on trees of files made here."""

from pathlib import Path

import pytest

from tonnage.devices.cpus import available_cpus

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


@pytest.fixture
def tree(tmp_path):
    """Writes files of a machine: `tree({path: content})` gives its root."""

    def write(files: dict[str, str]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return write


def test_without_cgroups_the_affinity_counts(tmp_path):
    assert available_cpus(tmp_path, affinity=6) == 6


def test_this_machine_has_at_least_one():
    assert available_cpus() >= 1


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("400000 100000", 4),
        ("150000 100000", 1),
        ("20000 100000", 1),
        ("max 100000", 64),
        ("50000 10000", 5),
        ("garbage", 64),
        ("", 64),
        ("100000 0", 64),
    ],
)
def test_the_quota_of_version_2(tree, quota, cpus):
    root = tree({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": f"{quota}\n"})
    assert available_cpus(root, affinity=64) == cpus


def test_the_smallest_quota_up_the_path_counts(tree):
    root = tree(
        {
            "proc/self/cgroup": "0::/pod/container/job\n",
            "sys/fs/cgroup/pod/container/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/pod/container/cpu.max": "800000 100000\n",
            "sys/fs/cgroup/pod/cpu.max": "300000 100000\n",
        }
    )
    assert available_cpus(root, affinity=64) == 3


def test_affinity_below_the_quota_counts(tree):
    root = tree({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"})
    assert available_cpus(root, affinity=2) == 2
    assert available_cpus(root, affinity=16) == 4


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_the_quota_of_version_1(tree, mount):
    root = tree(
        {
            "proc/self/cgroup": "5:memory:/job\n4:cpu,cpuacct:/job\n",
            f"sys/fs/cgroup/{mount}/job/cpu.cfs_quota_us": "250000\n",
            f"sys/fs/cgroup/{mount}/job/cpu.cfs_period_us": "100000\n",
        }
    )
    assert available_cpus(root, affinity=64) == 2


def test_no_quota_of_version_1(tree):
    root = tree(
        {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    assert available_cpus(root, affinity=64) == 64


def test_a_container_that_shows_the_hosts_path(tree):
    """The path names directories of the host; the container's own quota is at its root."""
    root = tree(
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/0123abcd\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
    )
    assert available_cpus(root, affinity=64) == 2


def test_both_versions_mounted(tree):
    root = tree(
        {
            "proc/self/cgroup": "3:cpu:/a\n0::/a\n",
            "sys/fs/cgroup/unified/a/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "700000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        }
    )
    assert available_cpus(root, affinity=64) == 3
