"""What a test without a hardware marker is given."""

import pytest

from tonnage.execute.undeclared import (
    Given,
    given_to_undeclared,
    outgrown,
    undeclared_notice,
)
from tonnage.record import events
from tonnage.record.measured import Measured, gpu_kind
from tonnage.record.outcomes import Outcome

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SMALL = events.GpuDescription("s", "GPU 0", "L4", 10_000)
LARGE = events.GpuDescription("l", "GPU 1", "H100", 80_000)
WHOLE = Given(1, None)


def weighed(**peaks):
    cards = {"small": SMALL, "large": LARGE}
    return Measured(peaks_mib={gpu_kind(cards[name]): (mib,) for name, mib in peaks.items()})


@pytest.mark.parametrize(
    ("policy", "gpus", "measured", "given"),
    [
        ("learn", [SMALL], None, WHOLE),
        ("learn", [SMALL], weighed(large=100), WHOLE),
        ("learn", [SMALL], weighed(small=1000), Given(1, 1100)),
        ("learn", [SMALL], weighed(small=0), Given(1, 0)),
        ("learn", [SMALL], weighed(small=9_500), WHOLE),
        ("learn", [SMALL, LARGE], weighed(large=1000), Given(1, 1100, frozenset("l"))),
        ("learn", [SMALL, LARGE], weighed(small=500, large=1000), Given(1, 1100)),
        ("learn", [], weighed(small=1000), Given(0, 0)),
        ("whole", [SMALL], weighed(small=1000), WHOLE),
        ("cpu", [SMALL], weighed(small=1000), Given(0, 0)),
    ],
)
def test_what_was_measured_on_such_a_card_stands_in(policy, gpus, measured, given):
    assert given_to_undeclared(policy, gpus, measured) == given


def test_the_notice_tells_the_learned_from_those_to_be_weighed():
    assert undeclared_notice("learn", 0, 0) is None
    assert "packed by what earlier runs measured" in undeclared_notice("learn", 3, 0)
    both = undeclared_notice("learn", 3, 2)
    assert both.startswith("5 tests")
    assert "3 packed" in both
    assert "2 on a whole GPU" in both
    assert "to be weighed" in undeclared_notice("learn", 0, 2)
    assert "--undeclared learn" in undeclared_notice("whole", 0, 2)


@pytest.mark.parametrize(
    ("declared", "peak", "count"), [(None, 900, 1), (None, 400, 0), (500, 900, 0)]
)
def test_a_test_that_took_more_than_was_learned_is_named(declared, peak, count):
    happened = [
        events.TestsCollected(0.0, (events.PlannedTest("t", 1, 500, declared, 1, None, None),)),
        events.AttemptStarted(0.0, "t", 1, ("s",), 500, 0),
        events.AttemptFinished(1.0, "t", 1, Outcome.PASSED, 1.0, peak, "simulated", ""),
    ]
    assert len(outgrown(happened)) == count
