"""What recorded runs tell the rules about time."""

import pytest

from tonnage.lint.history import mean_durations_s
from tonnage.record.measured import Measured

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def test_the_slowest_case_counts_and_one_that_never_passed_does_not():
    measured = {
        "t.py::test_a[x::y]": Measured((1.0, 3.0)),
        "t.py::test_a[z]": Measured((5.0,)),
        "t.py::TestB::test_b": Measured((0.5,)),
        "t.py::test_c": Measured(),
    }
    assert mean_durations_s(measured) == {"t.py::test_a": 5.0, "t.py::TestB::test_b": 0.5}
