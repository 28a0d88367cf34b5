"""From a declaration to the variables of a cap, and to the line under an out-of-memory failure."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.execute.cap_note import cap_note
from tonnage.execute.caps import MODES, Caps
from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS
from tonnage.markers.requirement import Requirement, requirement_of

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

FRACTIONS = (
    "DYN_GPU_MEMORY_FRACTION_OVERRIDE",
    "TONNAGE_VRAM_FRACTION",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
)
FOUR_GIB = Requirement(gpus=1, vram_mib=4096, reserved_mib=4096)
CARDS = {"GPU-a": 24576, "GPU-b": 8192}


def caps(mode, **others):
    return Caps(mode=mode, capacities_mib=CARDS, **others)


def test_cooperative_sets_the_share_for_everybody_who_reads_one():
    found = caps("cooperative").environment(FOUR_GIB, ["GPU-b"])
    assert {found[name] for name in FRACTIONS} == {"0.5"}


@pytest.mark.parametrize("mode", MODES)
def test_the_engines_get_their_own_limits_but_when_caps_are_off(mode):
    needs = Requirement(gpus=1, engine_caps=(("requested_vllm_kv_cache_bytes", 1e9),))
    found = caps(mode).environment(needs, ["GPU-a"])
    assert found.get("TONNAGE_VLLM_KV_CACHE_BYTES") == (None if mode == "off" else "1000000000")


@pytest.mark.parametrize("mode", MODES)
def test_without_a_gpu_there_is_nothing_to_cap(mode):
    assert caps(mode).environment(Requirement(gpus=0), []) == {}


@pytest.mark.parametrize("mode", ["cooperative", "torch", "mps"])
def test_whole_cards_are_not_capped(mode):
    found = caps(mode).environment(Requirement(gpus=1), ["GPU-a"])
    assert not any("FRACTION" in name or "LIMIT" in name or "CAP" in name for name in found)


@given(st.integers(1, 300_000), st.data())
def test_a_cap_gives_back_the_declared_mib_on_any_card(capacity_mib, data):
    declared_mib = data.draw(st.integers(0, capacity_mib))
    found = Caps("cooperative", {"GPU-a": capacity_mib}).environment(
        Requirement(gpus=1, vram_mib=declared_mib, reserved_mib=declared_mib), ["GPU-a"]
    )
    allowed_mib = float(found["TONNAGE_VRAM_FRACTION"]) * capacity_mib
    assert math.floor(allowed_mib + 1e-9) == declared_mib


def test_a_gang_is_capped_by_its_smallest_card_so_that_none_gets_less_than_declared():
    found = caps("cooperative").environment(FOUR_GIB, ["GPU-a", "GPU-b"])
    assert found["TONNAGE_VRAM_FRACTION"] == "0.5"


def test_what_the_caller_set_wins():
    user = {"XLA_PYTHON_CLIENT_MEM_FRACTION": ".9", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=1G"}
    found = caps("mps", user=user).environment(FOUR_GIB, ["GPU-a"])
    assert not user.keys() & found.keys()
    assert "TONNAGE_VRAM_FRACTION" in found


def test_mps_limits_each_visible_card_and_names_the_cards_by_uuid():
    pipes = {"CUDA_MPS_PIPE_DIRECTORY": "/somewhere"}
    found = caps("mps", mps=pipes).environment(FOUR_GIB, ["GPU-b", "GPU-a"])
    assert found["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=4096M,1=4096M"
    assert found["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-a"
    assert found["CUDA_MPS_PIPE_DIRECTORY"] == "/somewhere"


IN_FORCE = {"TONNAGE_VRAM_CAP_MIB": "4096", "TONNAGE_VRAM_CAPS": "torch"}
TORCH = "CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of 23 GiB"


@pytest.mark.parametrize(
    ("marks", "declared"),
    [
        ([MarkValue("max_vram_gib", (4,))], "max_vram_gib(4)"),
        ([MarkValue("max_vram_gib", (), {"gib": 4})], "max_vram_gib(4)"),
        ([MarkValue("needs", (), {"vram_gib": 4})], "needs(vram_gib=4)"),
        ([MarkValue("profiled_vram_gib", (3.5,))], "profiled_vram_gib(3.5)"),
        (
            [MarkValue("profiled_vram_gib", (3,)), MarkValue("max_vram_gib", (4,))],
            "max_vram_gib(4)",
        ),
        ([MarkValue("max_vram_gib", (4,)), MarkValue("max_vram_gib", (8,))], "max_vram_gib(4)"),
    ],
)
def test_the_note_names_the_mark_that_set_the_cap(marks, declared):
    vocabulary = PRESETS["serving"]
    assert requirement_of(marks, vocabulary).reserved_mib is not None
    note = cap_note(IN_FORCE, marks, vocabulary, TORCH)
    assert note is not None
    assert note.startswith(f"declared {declared}, capped at 4.0 GiB per GPU (--vram-caps torch)")


@pytest.mark.parametrize(
    ("message", "use"),
    [
        (TORCH, "512.00 MiB in one allocation"),
        ("CUDA out of memory (simulated). Tried to allocate 6.00 GiB. GPU 0", "6.00 GiB in one"),
        (
            "Out of memory allocating 4,294,967,296 bytes (allocated so far: 5 bytes).",
            "4.00 GiB in",
        ),
        (
            "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes.",
            "8.00 GiB",
        ),
        ("CUDA_ERROR_OUT_OF_MEMORY", "more than it got"),
    ],
)
def test_the_note_says_what_was_asked_for(message, use):
    note = cap_note(IN_FORCE, [MarkValue("max_vram_gib", (4,))], PRESETS["serving"], message)
    assert note is not None
    assert use in note.partition("; it asked for ")[2]


def test_without_a_cap_there_is_no_note():
    assert cap_note({}, [MarkValue("max_vram_gib", (4,))], PRESETS["serving"], TORCH) is None
