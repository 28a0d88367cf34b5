"""Which tests a command line leaves out, and how that is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import OptionError
from tonnage.markers.presets import PRESETS
from tonnage.markers.requirement import Requirement
from tonnage.markers.selection import DropKind, Limits, MachineLimits, Selection, select

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SERVING = PRESETS["serving"]
L4 = ("NVIDIA L4", 23034)
H100 = ("NVIDIA H100 80GB HBM3", 81559)


def weighing(mib: int | None, gpus: int = 1, *names: str) -> Requirement:
    return Requirement(gpus=gpus, vram_mib=mib, reserved_mib=mib, gpu_names=names)


def selection(limits: Limits, **tests: Requirement) -> Selection:
    return select(list(tests.items()), limits, SERVING)


def kept(limits: Limits, **tests: Requirement) -> tuple[str, ...]:
    return selection(limits, **tests).kept


def test_without_limits_every_test_stays():
    found = selection(Limits(), a=Requirement(), b=weighing(99999, 8))
    assert found == Selection(("a", "b"), ())
    assert found.summary_line() is None
    assert found.detail_lines() == ()


def test_a_vram_budget_leaves_out_what_declares_more():
    limits = Limits(max_vram_gib=16)
    assert kept(
        limits,
        undeclared=Requirement(),
        whole=weighing(None),
        cpu=Requirement(gpus=0),
        equal=weighing(16384),
        more=weighing(16385),
    ) == ("undeclared", "whole", "cpu", "equal")


def test_the_margin_of_a_measured_peak_is_not_part_of_the_budget():
    peak = Requirement(gpus=1, vram_mib=16384, reserved_mib=18023)
    assert kept(Limits(max_vram_gib=16), peak=peak) == ("peak",)


def test_a_stage_leaves_out_later_lifecycles_and_tests_without_one():
    assert kept(
        Limits(stage="post_merge"),
        early=Requirement(lifecycle="pre_merge"),
        same=Requirement(lifecycle="post_merge"),
        late=Requirement(lifecycle="nightly"),
        none=Requirement(),
    ) == ("early", "same")


def test_an_unknown_stage_is_told_even_without_tests():
    with pytest.raises(OptionError, match="there is no stage"):
        selection(Limits(stage="weekend"))


@pytest.mark.parametrize(
    ("gpus", "requirement", "kind"),
    [
        ((), Requirement(), None),
        ((), Requirement(gpus=0), None),
        ((), weighing(None), DropKind.TOO_FEW_GPUS),
        ((L4,), weighing(None), None),
        ((L4,), weighing(23034), None),
        ((L4,), weighing(23035), DropKind.TOO_LITTLE_VRAM),
        ((L4,), weighing(1, 2), DropKind.TOO_FEW_GPUS),
        ((L4, H100), weighing(40000), None),
        ((L4, H100), weighing(40000, 2), DropKind.TOO_LITTLE_VRAM),
        ((L4, H100), weighing(20000, 2), None),
        ((L4,), weighing(1, 1, "h100"), DropKind.WRONG_CARD),
        ((L4, H100), weighing(1, 1, "h100"), None),
        ((L4, H100), weighing(1, 2, "h100"), DropKind.WRONG_CARD),
        ((H100, L4), weighing(80000, 1, "l4"), DropKind.TOO_LITTLE_VRAM),
        ((H100,), weighing(1, 1, "h100", "hbm3"), None),
        ((H100,), weighing(1, 1, "h100", "nvl"), DropKind.WRONG_CARD),
    ],
)
def test_what_a_machine_can_run(gpus, requirement, kind):
    found = selection(Limits(machine=MachineLimits(gpus)), test=requirement)
    assert [drop.kind for drop in found.dropped] == ([] if kind is None else [kind])


def test_what_is_reserved_must_fit_and_not_only_the_peak():
    peak = Requirement(gpus=1, vram_mib=22000, reserved_mib=24200)
    assert kept(Limits(machine=MachineLimits((L4,))), peak=peak) == ()


def test_the_summary_counts_by_reason_most_first():
    found = selection(
        Limits(max_vram_gib=16, stage="post_merge", machine=MachineLimits((L4,))),
        late=Requirement(lifecycle="nightly"),
        big=Requirement(gpus=1, vram_mib=20480, reserved_mib=20480, lifecycle="pre_merge"),
        bigger=Requirement(gpus=1, vram_mib=40960, reserved_mib=40960, lifecycle="pre_merge"),
        gang=Requirement(gpus=4, lifecycle="pre_merge"),
        card=Requirement(gpus=1, gpu_names=("h100",), lifecycle="pre_merge"),
        unmarked=Requirement(),
    )
    assert found.kept == ()
    assert found.summary_line() == (
        "6 tests deselected: 2 need more than 16 GiB (--max-vram-gib), "
        "1 runs only from nightly (--stage), 1 needs more than 1 GPU (--fits), "
        "1 needs h100 (--fits), 1 has no lifecycle marker (--stage)"
    )
    assert found.detail_lines() == (
        "late: runs only from nightly, later than post_merge (--stage)",
        "big: needs 20.0 GiB per GPU, more than 16 GiB (--max-vram-gib)",
        "bigger: needs 40.0 GiB per GPU, more than 16 GiB (--max-vram-gib)",
        "gang: needs 4 GPUs, this machine has 1 (--fits)",
        "card: needs 1 x h100, this machine has 0 (NVIDIA L4; --fits)",
        "unmarked: has no lifecycle marker (--stage); "
        "give it one of pre_merge, post_merge, nightly, weekly, release",
    )


def test_one_test_too_large_for_every_card():
    found = selection(Limits(machine=MachineLimits((L4, L4))), big=weighing(40960, 2))
    assert found.summary_line() == "1 test deselected: 1 needs more VRAM than there is (--fits)"
    assert found.detail_lines() == (
        "big: needs 40.0 GiB on 2 GPUs, this machine has 22.5 GiB (--fits)",
    )


requirements = st.builds(
    lambda gpus, mib, names, lifecycle: Requirement(
        gpus=gpus, vram_mib=mib, reserved_mib=mib, gpu_names=names, lifecycle=lifecycle
    ),
    st.sampled_from([None, 0, 1, 2, 4]),
    st.none() | st.integers(0, 100_000),
    st.sampled_from([(), ("h100",), ("l4",)]),
    st.sampled_from([None, *SERVING.lifecycles]),
)
any_limits = st.builds(
    Limits,
    max_vram_gib=st.none() | st.floats(0, 100),
    stage=st.sampled_from([None, *SERVING.lifecycles]),
    machine=st.none() | st.lists(st.sampled_from([L4, H100])).map(tuple).map(MachineLimits),
)


@given(st.lists(requirements), any_limits)
def test_every_test_is_kept_or_left_out_once_in_order(needed, limits):
    candidates = [(str(index), requirement) for index, requirement in enumerate(needed)]
    found = select(candidates, limits, SERVING)
    ids = [*found.kept, *(drop.node_id for drop in found.dropped)]
    assert sorted(ids, key=int) == [node_id for node_id, _ in candidates]
    assert list(found.kept) == sorted(found.kept, key=int)
    assert (found.summary_line() is None) == (len(found.dropped) == 0)


@given(st.lists(requirements), st.integers(0, 4))
def test_a_later_stage_runs_all_that_an_earlier_one_does(needed, place):
    candidates = [(str(index), requirement) for index, requirement in enumerate(needed)]
    stages = SERVING.lifecycles[place : place + 2]
    runs = [set(select(candidates, Limits(stage=stage), SERVING).kept) for stage in stages]
    assert all(runs[0] <= later for later in runs)
