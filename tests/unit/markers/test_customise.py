"""A project's changes to a preset."""

import pytest

from tonnage.markers.customise import Changes, Mistake, customise
from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS
from tonnage.markers.requirement import Requirement, requirement_of
from tonnage.markers.vocabulary import Category, Vocabulary

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SERVING = PRESETS["serving"]


def changed(**changes) -> Vocabulary:
    vocabulary, mistakes = customise(SERVING, Changes(**changes))
    assert mistakes == ()
    return vocabulary


def test_no_change_is_the_preset():
    assert changed() == SERVING


def test_stages_are_replaced_in_their_new_order():
    vocabulary = changed(lifecycles=("commit", "nightly"))
    assert vocabulary.lifecycles == ("commit", "nightly")
    assert vocabulary.get("nightly") == SERVING.get("nightly")
    assert vocabulary.get("pre_merge") is None


def test_cards_are_replaced_and_counts_stay():
    vocabulary = changed(cards=("l4", "a100"))
    assert [marker.name for marker in vocabulary.of(Category.HARDWARE)] == [
        "gpu_0",
        "gpu_1",
        "gpu_2",
        "gpu_4",
        "gpu_8",
        "l4",
        "a100",
    ]
    assert requirement_of([MarkValue("l4")], vocabulary) == Requirement(gpus=1, gpu_names=("l4",))


def test_a_renamed_marker_keeps_its_meaning_and_its_place():
    vocabulary = changed(
        rename={"gpu_2": "two_gpus", "max_vram_gib": "vram", "pre_merge": "commit"}
    )
    marks = [MarkValue("two_gpus"), MarkValue("vram", (4,)), MarkValue("commit")]
    assert requirement_of(marks, vocabulary) == Requirement(
        gpus=2, vram_mib=4096, reserved_mib=4096, lifecycle="commit"
    )
    assert vocabulary.lifecycles[0] == "commit"
    assert vocabulary.get("gpu_2") is None


def test_the_old_name_of_a_renamed_marker_says_nothing():
    vocabulary = changed(rename={"gpu_2": "two_gpus"})
    assert requirement_of([MarkValue("gpu_2")], vocabulary) == Requirement()


def test_a_removed_marker_is_not_known():
    vocabulary = changed(remove=("weekly",))
    assert vocabulary.lifecycles == ("pre_merge", "post_merge", "nightly", "release")


def test_an_added_gpu_count_counts():
    vocabulary = changed(add={"hardware": {"gpu_3": "needs 3 GPUs at once"}})
    assert requirement_of([MarkValue("gpu_3")], vocabulary).gpus == 3


def test_an_added_marker_is_registered_with_its_text():
    vocabulary = changed(add={"component": {"tokenizer": "concerns the tokenizer"}})
    assert "tokenizer: concerns the tokenizer" in vocabulary.pytest_lines()


def test_a_name_that_was_removed_or_renamed_is_free():
    vocabulary = changed(remove=("slow",), rename={"weekly": "slow"})
    assert vocabulary.lifecycles[3] == "slow"


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        (
            {"remove": ("weekl",)},
            ("remove", 'there is no marker "weekl"', 'did you mean "weekly"?'),
        ),
        (
            {"rename": {"nightli": "x"}},
            ("rename.nightli", 'there is no marker "nightli"', 'did you mean "nightly"?'),
        ),
        (
            {"rename": {"gpu_1": "gpu_2"}},
            ("rename.gpu_1", 'there is a marker "gpu_2" already', None),
        ),
        (
            {"rename": {"skip": "omit"}},
            ("rename.skip", '"skip" is pytest\'s own and keeps its name', None),
        ),
        (
            {"lifecycles": ("unit",)},
            ("lifecycles", 'there is a marker "unit" already', None),
        ),
        (
            {"lifecycles": ("a", "a")},
            ("lifecycles", 'there is a marker "a" already', None),
        ),
        (
            {"cards": ("rtx 4090",)},
            ("cards", '"rtx 4090" cannot be a marker', "Use letters, digits and underscores."),
        ),
        (
            {"add": {"compnent": {"a": ""}}},
            (
                "add.compnent",
                '"compnent" is no category to add markers to',
                'did you mean "component"?',
            ),
        ),
        (
            {"add": {"lifecycle": {"a": ""}}},
            (
                "add.lifecycle",
                '"lifecycle" is no category to add markers to',
                "The categories are type, hardware, component, infrastructure, execution, other.",
            ),
        ),
        (
            {"add": {"hardware": {"l4": ""}}},
            ("add.hardware.l4", '"l4" is no gpu_N', 'Name cards with the key "cards".'),
        ),
        (
            {"add": {"other": {"unit": ""}}},
            ("add.other.unit", 'there is a marker "unit" already', None),
        ),
    ],
)
def test_what_cannot_be_changed(changes, mistake):
    _, mistakes = customise(SERVING, Changes(**changes))
    assert mistakes == (Mistake(*mistake),)


def test_the_table_keeps_the_order_of_its_categories():
    vocabulary = changed(cards=("l4",), lifecycles=("commit",), add={"type": {"smoke": ""}})
    categories = [marker.category for marker in vocabulary.markers]
    assert categories == sorted(categories, key=list(Category).index)


def test_all_mistakes_are_told_and_the_other_changes_made():
    vocabulary, mistakes = customise(SERVING, Changes(remove=("a", "slow"), rename={"b": "c"}))
    assert mistakes == (
        Mistake("remove", 'there is no marker "a"'),
        Mistake("rename.b", 'there is no marker "b"'),
    )
    assert vocabulary.get("slow") is None
