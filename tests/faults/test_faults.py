"""Faults are injected; every other test's result stays right and nothing is left behind."""

import subprocess
import sys

import pytest
from tests.faults.catalogue import FAULTS
from tests.faults.fault import suffer
from tests.faults.page import PAGE, page
from tests.groups import own_group

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and uses Linux's signals"),
]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_a_fault_harms_nobody_else_and_leaves_nothing(fault, tmp_path, fake_nvml):
    if fault.needs_mounts and subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("mounts cannot be changed for a single process here")
    if fault.needs_cgroups:
        with own_group(tmp_path.name):
            pass  # else it has skipped this test
    suffer(fault, tmp_path, fake_nvml)


def test_the_page_on_reliability_lists_every_fault():
    """`python -m tests.faults.page` writes it, once every fault has gone as it should."""
    assert PAGE.read_text(encoding="utf-8") == page(FAULTS)


def test_there_are_enough_of_them():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40
