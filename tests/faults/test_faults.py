"""Faults are injected; every other test's result stays right and nothing is left behind."""

import sys

import pytest
from tests.faults.catalogue import FAULTS
from tests.faults.fault import suffer

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and uses Linux's signals"),
]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_a_fault_harms_nobody_else_and_leaves_nothing(fault, tmp_path):
    suffer(fault, tmp_path)
