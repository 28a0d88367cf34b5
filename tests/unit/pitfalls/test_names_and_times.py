"""Names that cannot collide, and durations that cannot grow stale."""

import pytest

from tonnage.execute import messages
from tonnage.execute.child import Places
from tonnage.schedule.estimate import estimate_s

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def test_a_unit_has_places_of_its_own_named_by_number():
    opening = messages.OpenSession(
        args=[],
        argv=[],
        directory="/suite",
        parent=1,
        run_directory="/run-1",
        base_temp="/tmp-1",
        worker_input="{}",
        settled={},
        environment={},
        cleanup=[],
    )
    first, second = (Places.of(opening, unit, lane) for unit, lane in ((1, 0), (2, 1)))
    paths = [getattr(each, name) for each in (first, second) for name in Places.__slots__]
    assert len(set(paths)) == len(paths)
    # A lane is free again when its unit has ended; a temporary directory is never used twice.
    later = Places.of(opening, 3, 0)
    assert later.out == first.out
    assert later.base_temp != first.base_temp


def test_what_was_measured_comes_before_what_was_declared():
    assert estimate_s((2.0, 2.0), timeout_s=600.0) == 2.0
    assert estimate_s((), timeout_s=600.0) == 200.0
    assert estimate_s((), timeout_s=None) is None
