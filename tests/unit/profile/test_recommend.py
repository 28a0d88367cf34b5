"""From measurements to markers: the rules, and that what stands is left alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.markers.engine_caps import ENGINE_CAPS
from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS
from tonnage.markers.requirement import requirement_of
from tonnage.markers.vocabulary import Category
from tonnage.profile.cards import REFERENCE_CARDS, cards_that_fit
from tonnage.profile.recommend import Needs, loads_a_model, recommend, safe_gib
from tonnage.units import mib_from_gib

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SERVING = PRESETS["serving"]
ENGINE_TEST = Needs(wall_s=41.2, peak_mib=mib_from_gib(18.5), gpus=1, loads_model=True)


def texts(recommendation, *, new_only=False):
    return [mark.text for mark in recommendation.marks if not (new_only and mark.is_there)]


def test_a_slow_engine_test_gets_everything_but_a_stage():
    found = recommend(ENGINE_TEST, [], SERVING)
    assert texts(found) == ["e2e", "gpu_1", "max_vram_gib(21)", "timeout(124)"]
    assert found.warnings == (
        "41.2 s is too slow for pre_merge (over 20 s). Consider post_merge or nightly.",
        "Will run out of memory on edge/embedded (4 GiB).",
        "Will run out of memory on RTX 3060/4060 (8 GiB).",
        "Will run out of memory on T4 (16 GiB).",
    )
    reasons = {mark.name: mark.reason for mark in found.marks}
    assert reasons["max_vram_gib"] == "peak 18.5 GiB (+10% safety: 20.4 GiB)"
    assert reasons["timeout"] == "3x observed 41.2 s"


@pytest.mark.parametrize(
    ("wall_s", "marks"),
    [
        (0.4, ["pre_merge", "unit", "gpu_1", "max_vram_gib(1)", "timeout(10)"]),
        (19.9, ["pre_merge", "integration", "gpu_1", "max_vram_gib(1)", "timeout(60)"]),
        (20.0, ["integration", "gpu_1", "max_vram_gib(1)", "timeout(60)"]),
    ],
)
def test_stage_and_type_follow_the_time(wall_s, marks):
    assert texts(recommend(Needs(wall_s, 512, 1), [], SERVING)) == marks


def test_a_declared_stage_and_type_stand():
    declared = [MarkValue("nightly"), MarkValue("stress"), MarkValue("gpu_1")]
    found = recommend(ENGINE_TEST, declared, SERVING)
    assert texts(found, new_only=True) == ["max_vram_gib(21)", "timeout(124)"]
    assert not [warning for warning in found.warnings if "too slow" in warning]
    early = recommend(ENGINE_TEST, [MarkValue("pre_merge")], SERVING)
    assert early.warnings[0].startswith("41.2 s is too slow for pre_merge")


def test_what_still_fits_the_measurement_stands_as_it_is_written():
    declared = [
        MarkValue("max_vram_gib", (), {"gib": 20}),
        MarkValue("timeout", (100,), {"method": "thread"}),
    ]
    found = {mark.name: mark for mark in recommend(ENGINE_TEST, declared, SERVING).marks}
    assert (found["max_vram_gib"].is_there, found["timeout"].is_there) == (True, True)
    assert found["max_vram_gib"].arguments == "gib=20"
    assert found["timeout"].arguments == "100, method='thread'"


def test_what_no_longer_fits_is_replaced_with_its_other_arguments():
    declared = [
        MarkValue("max_vram_gib", (), {"gib": 8}),
        MarkValue("timeout", (30,), {"method": "thread"}),
    ]
    found = texts(recommend(ENGINE_TEST, declared, SERVING), new_only=True)
    assert "max_vram_gib(gib=21)" in found
    assert "timeout(124, method='thread')" in found


def test_needs_is_kept_as_the_way_to_say_it():
    declared = [MarkValue("needs", (), {"gpus": 1, "vram_gib": 4, "cpus": 2})]
    found = texts(recommend(ENGINE_TEST, declared, PRESETS["minimal"]))
    assert found == ["needs(gpus=1, vram_gib=21, cpus=2)", "timeout(124)"]


def test_a_vocabulary_without_gpu_markers_gets_needs():
    found = recommend(Needs(1.0, 1024, 3), [], PRESETS["minimal"])
    assert texts(found) == ["max_vram_gib(2)", "needs(gpus=3)", "timeout(10)"]
    # Three GPUs have no marker of their own in the larger vocabulary either.
    assert "needs(gpus=3)" in texts(recommend(Needs(1.0, 1024, 3), [], SERVING))


def test_a_measured_marker_is_brought_up_to_date_and_no_second_one_added():
    found = texts(recommend(ENGINE_TEST, [MarkValue("profiled_vram_gib", (9,))], SERVING))
    assert "profiled_vram_gib(18.5)" in found
    assert not [text for text in found if text.startswith("max_vram_gib")]


@pytest.mark.parametrize(
    ("cap", "text"),
    [
        (("requested_vllm_kv_cache_bytes", 1_000_000_000), "(2000000000)"),
        (("requested_sglang_kv_tokens", 1024), "(2048)"),
        (("requested_trtllm_vram_gib", 1.33), "(2.7)"),
    ],
)
def test_an_engine_cap_is_doubled(cap, text):
    needs = Needs(41.2, 18944, 1, True, cap)
    assert f"{cap[0]}{text}" in texts(recommend(needs, [], SERVING))
    there = [MarkValue(cap[0], (cap[1] * 2,))]
    assert f"{cap[0]}{text}" not in texts(recommend(needs, there, SERVING), new_only=True)


def test_more_gpus_than_were_used_is_said_and_left():
    found = recommend(Needs(1.0, 1024, 1), [MarkValue("gpu_2")], SERVING)
    assert "gpu_2" in texts(found)
    assert found.warnings[0] == "It declares 2 GPUs and held memory on 1."


def test_without_a_figure_no_vram_is_declared():
    for peak in (None, 0):
        found = texts(recommend(Needs(1.0, peak, 1), [], SERVING))
        assert found == ["pre_merge", "unit", "gpu_1", "timeout(10)"]


@pytest.mark.parametrize("name", ["vllm", "sglang", "trtllm", "model", ENGINE_CAPS[0].role])
def test_a_model_is_known_by_the_marks(name):
    assert loads_a_model([MarkValue(name)], SERVING)
    assert not loads_a_model([MarkValue("router")], SERVING)


def test_the_largest_need_that_a_card_holds():
    fitting, too_small = cards_that_fit(16)
    assert [card.name for card in too_small] == ["edge/embedded", "RTX 3060/4060"]
    assert fitting[0].name == "T4"
    assert (*too_small, *fitting) == REFERENCE_CARDS


NAMES = [m.name for m in SERVING.markers if m.category in (Category.LIFECYCLE, Category.TYPE)]


@settings(max_examples=50)
@given(
    wall_s=st.floats(0.001, 5000),
    peak_mib=st.integers(1, 200_000),
    gpus=st.sampled_from([1, 2, 3, 4, 8]),
    loads_model=st.booleans(),
    cap=st.sampled_from([None, *((cap.role, 1000.0) for cap in ENGINE_CAPS)]),
    names=st.sets(st.sampled_from(NAMES)),
)
def test_what_is_recommended_is_enough_and_then_stands(
    wall_s, peak_mib, gpus, loads_model, cap, names
):
    needs = Needs(wall_s, peak_mib, gpus, loads_model, cap)
    before = [MarkValue(name) for name in sorted(names)]
    added = [
        eval(mark.text if mark.arguments else f"{mark.text}()", {}, _Builder())
        for mark in recommend(needs, before, SERVING).marks
        if not mark.is_there
    ]
    after = [*added, *before]
    requirement = requirement_of(after, SERVING)
    assert requirement.gpus == gpus
    assert requirement.reserved_mib >= peak_mib
    assert requirement.reserved_mib == safe_gib(peak_mib) * 1024
    assert requirement.timeout_s >= 3 * wall_s - 1e-6
    assert all(mark.is_there for mark in recommend(needs, after, SERVING).marks)


class _Builder(dict):
    """A namespace in which every name is a mark of that name."""

    def __missing__(self, name):
        return lambda *args, **kwargs: MarkValue(name, args, kwargs)
