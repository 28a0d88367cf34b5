"""Masks, read as CUDA reads them, and narrowed in the caller's own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.devices.visibility import CUDA_MASK, CUDA_ORDER, mask_environment, visible_gpus

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

A, B, C = "GPU-aa11-1", "GPU-aa22-2", "GPU-bb33-3"
MACHINE = [A, B, C]
SLICES = ["MIG-11aa", "MIG-11bb", A]


def seen(mask, machine=MACHINE):
    return [gpu.uuid for gpu in visible_gpus(mask, machine)]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        # unset and empty
        (None, [A, B, C]),
        ("", []),
        (" ", []),
        # indices: the order is the mask's
        ("0", [A]),
        ("2,0", [C, A]),
        (" 1 , 2 ", [B, C]),
        ("+1", [B]),
        ("1gpu2,2ampere", [B, C]),
        ("01", [B]),
        # the list ends at the first invalid entry
        ("-1", []),
        ("0,-1,1", [A]),
        ("0,3,1", [A]),
        ("0,,1", [A]),
        ("0,", [A]),
        (",0", []),
        ("nine", []),
        ("0,nine,1", [A]),
        ("٠", []),
        ("9" * 5000, []),
        ("NoDevFiles", []),
        # a repeated GPU leaves none
        ("0,0", []),
        ("0,1,0", []),
        (f"{A},{A}", []),
        (f"{A},GPU-aa1", []),
        ("0,-1,0", [A]),
        # UUIDs: a prefix that one GPU alone has
        (f"{C},{A}", [C, A]),
        ("GPU-bb", [C]),
        ("GPU-aa", []),
        ("GPU-aa11,GPU-aa22", [A, B]),
        ("GPU-bb,GPU-zz,GPU-aa11", [C]),
        ("gpu-bb33-3", []),
        # one notation per list
        (f"0,{B}", [A]),
        (f"{B},0", [B]),
        # MIG names
        ("MIG-11aa", []),
    ],
)
def test_what_a_mask_leaves(mask, expected):
    assert seen(mask) == expected


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("MIG-11bb", ["MIG-11bb"]),
        ("MIG-11a,MIG-11b", ["MIG-11aa", "MIG-11bb"]),
        ("MIG-11", []),
        (f"MIG-11aa,{A}", ["MIG-11aa"]),
        (None, SLICES),
    ],
)
def test_instances_are_named_like_cards(mask, expected):
    assert seen(mask, SLICES) == expected


def test_an_exact_uuid_wins_over_a_prefix():
    assert seen("GPU-a", ["GPU-ab", "GPU-a"]) == ["GPU-a"]


def test_a_lost_gpu_keeps_its_index_and_cannot_be_named():
    machine = [A, "", C]
    assert seen("2,0", machine) == [C, A]
    assert seen("0,1,2", machine) == [A]
    assert seen(None, machine) == [A, C]


@pytest.mark.parametrize(
    ("mask", "given_to_it", "written"),
    [
        (None, [C, A], "2,0"),
        (None, [], ""),
        ("2,1", [B], "1"),
        ("1gpu2,2ampere", [C], "2ampere"),
        ("GPU-bb,GPU-aa2", [B, C], "GPU-aa2,GPU-bb"),
    ],
)
def test_a_narrower_mask_is_in_the_callers_notation(mask, given_to_it, written):
    variables = mask_environment(given_to_it, visible_gpus(mask, MACHINE), {})
    assert variables[CUDA_MASK] == written


def test_indices_are_written_with_the_order_they_count_in():
    by_index = mask_environment([A], visible_gpus("0", MACHINE), {})
    by_uuid = mask_environment([A], visible_gpus(A, MACHINE), {})
    assert by_index[CUDA_ORDER] == "PCI_BUS_ID"
    assert CUDA_ORDER not in by_uuid


def test_where_an_index_may_mislead_the_mask_is_written_in_uuids():
    assert mask_environment([A], visible_gpus(None, SLICES), {}) == {CUDA_MASK: A}
    assert mask_environment([C], visible_gpus(None, [A, "", C]), {}) == {CUDA_MASK: C}


def test_rocm_masks_are_narrowed_only_where_the_caller_set_them():
    outer = visible_gpus("1,2", MACHINE)
    assert set(mask_environment([C], outer, {})) == {CUDA_MASK, CUDA_ORDER}
    variables = mask_environment([C], outer, {"HIP_VISIBLE_DEVICES": "4, 7"})
    assert variables["HIP_VISIBLE_DEVICES"] == "7"
    assert "ROCR_VISIBLE_DEVICES" not in variables
    assert mask_environment([], outer, {"ROCR_VISIBLE_DEVICES": "4"})["ROCR_VISIBLE_DEVICES"] == ""


def test_of_both_rocm_masks_the_inner_one_is_narrowed():
    outer = visible_gpus("0,1,2", MACHINE)
    both = {"HIP_VISIBLE_DEVICES": "0,1,2", "ROCR_VISIBLE_DEVICES": "5,6,7"}
    variables = mask_environment([C], outer, both)
    assert variables["HIP_VISIBLE_DEVICES"] == "2"
    assert "ROCR_VISIBLE_DEVICES" not in variables


def test_a_gpu_that_was_not_lent_cannot_be_given_on():
    with pytest.raises(ValueError, match=C):
        mask_environment([C], visible_gpus("0,1", MACHINE), {})


entries = st.one_of(
    st.integers(-2, 5).map(str),
    st.sampled_from([*MACHINE, "GPU-", "GPU-aa", "GPU-bb", "MIG-1", "", " 1", "x"]),
    st.text(max_size=6),
)
masks = st.lists(entries, max_size=6).map(",".join)


@given(masks)
def test_any_text_leaves_distinct_gpus_of_the_machine(mask):
    left = seen(mask)
    assert len(set(left)) == len(left)
    assert set(left) <= set(MACHINE)


@given(masks, masks)
def test_more_entries_never_change_the_gpus_already_named(mask, more):
    before, after = seen(mask), seen(f"{mask},{more}")
    assert after == [] or after[: len(before)] == before


@given(masks, st.data())
def test_a_narrower_mask_shows_exactly_what_was_chosen(mask, data):
    """Read again as CUDA would, the mask written for a test means the GPUs it was given."""
    outer = visible_gpus(mask, MACHINE)
    lent = [gpu.uuid for gpu in outer]
    chosen = data.draw(st.permutations(lent)) if lent else []
    chosen = chosen[: data.draw(st.integers(0, len(chosen)))]
    assert seen(mask_environment(chosen, outer, {})[CUDA_MASK]) == chosen
