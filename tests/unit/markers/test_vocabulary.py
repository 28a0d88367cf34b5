"""The table of markers and its two presets."""

import pytest

from tonnage.markers.presets import PRESETS
from tonnage.markers.vocabulary import Category, Marker, Vocabulary

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SERVING = PRESETS["serving"]


def names(vocabulary: Vocabulary, category: Category) -> str:
    return " ".join(marker.name for marker in vocabulary.of(category))


def test_the_serving_preset_has_the_markers_of_the_practice():
    assert {category: names(SERVING, category) for category in Category} == {
        Category.LIFECYCLE: "pre_merge post_merge nightly weekly release",
        Category.TYPE: "unit integration e2e benchmark performance stress multimodal",
        Category.HARDWARE: "gpu_0 gpu_1 gpu_2 gpu_4 gpu_8 h100",
        Category.VRAM: "max_vram_gib profiled_vram_gib",
        Category.ENGINE_CAP: "requested_vllm_kv_cache_bytes requested_sglang_kv_tokens "
        "requested_trtllm_kv_tokens requested_trtllm_vram_gib",
        Category.COMPONENT: "vllm trtllm sglang kvbm kvbm_concurrency planner router",
        Category.INFRASTRUCTURE: "k8s deploy fault_tolerance",
        Category.EXECUTION: "parallel",
        Category.OTHER: "needs timeout slow skip skipif xfail custom_build model aiconfigurator "
        "flaky quarantine",
    }


def test_the_minimal_preset_knows_only_what_the_packer_reads():
    assert PRESETS["minimal"].known() == (
        "max_vram_gib",
        "profiled_vram_gib",
        "needs",
        "timeout",
    )


def test_lifecycles_are_in_stage_order():
    assert SERVING.lifecycles == ("pre_merge", "post_merge", "nightly", "weekly", "release")


@pytest.mark.parametrize("preset", PRESETS)
def test_pytest_lines_name_each_marker_once_and_leave_pytests_own_out(preset):
    lines = PRESETS[preset].pytest_lines()
    registered = [line.split(":")[0].split("(")[0] for line in lines]
    assert registered == [m.name for m in PRESETS[preset].markers if not m.built_in]
    assert not {"skip", "skipif", "xfail"} & set(registered)
    assert all(line.split(": ", 1)[1] for line in lines)


def test_a_pytest_line_shows_the_parameters():
    line = "max_vram_gib(gib): VRAM this test needs on each GPU, safety included; 0: allocates none"
    assert line in SERVING.pytest_lines()


@pytest.mark.parametrize(
    ("name", "count", "card"),
    [
        ("gpu_0", 0, None),
        ("gpu_12", 12, None),
        ("gpu_01", None, "gpu_01"),
        ("h100", None, "h100"),
        ("gpu_", None, "gpu_"),
    ],
)
def test_a_hardware_marker_is_a_count_or_a_card(name, count, card):
    marker = Marker(name, Category.HARDWARE, "")
    assert (marker.gpu_count, marker.card) == (count, card)


def test_outside_hardware_there_is_neither_count_nor_card():
    marker = Marker("gpu_2", Category.COMPONENT, "")
    assert (marker.gpu_count, marker.card) == (None, None)


def test_a_near_name_is_suggested_and_a_far_one_is_not():
    assert SERVING.suggest("max_vram_gb") == 'did you mean "max_vram_gib"?'
    assert SERVING.suggest("zebra") is None


def test_a_marker_cannot_be_listed_twice():
    marker = Marker("unit", Category.TYPE, "")
    with pytest.raises(AssertionError, match="twice"):
        Vocabulary((marker, marker))
