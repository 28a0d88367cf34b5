"""Which lifecycles a stage runs."""

import pytest

from tonnage.errors import OptionError
from tonnage.markers.stages import check_stage, stage_selects

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

ORDER = ("pre_merge", "post_merge", "nightly")


@pytest.mark.parametrize(
    ("stage", "lifecycles"),
    [
        ("pre_merge", ["pre_merge"]),
        ("post_merge", ["pre_merge", "post_merge"]),
        ("nightly", ["pre_merge", "post_merge", "nightly"]),
    ],
)
def test_a_stage_runs_its_own_lifecycle_and_the_earlier_ones(stage, lifecycles):
    assert [each for each in ORDER if stage_selects(stage, each, ORDER)] == lifecycles


@pytest.mark.parametrize("stage", ORDER)
def test_no_stage_runs_a_test_without_a_lifecycle(stage):
    assert not stage_selects(stage, None, ORDER)


@pytest.mark.parametrize(
    ("stage", "order", "remedy"),
    [
        (
            "nigthly",
            ORDER,
            'Did you mean "nightly"? The stages are pre_merge, post_merge, nightly.',
        ),
        ("x", ORDER, "The stages are pre_merge, post_merge, nightly."),
        ("nightly", (), "This project has no lifecycles."),
    ],
)
def test_an_unknown_stage_names_the_known_ones(stage, order, remedy):
    with pytest.raises(OptionError) as caught:
        check_stage(stage, order)
    assert caught.value.reason == f'there is no stage "{stage}"'
    assert caught.value.where == "--stage"
    assert caught.value.remedy == remedy
