"""TNG106 and 107: a GPU test says how much VRAM it needs, and a card with as much exists."""

from collections.abc import Iterator

from tonnage.lint.context import Context
from tonnage.lint.declared import all_marks, is_gpu_test, mark_names, place_of
from tonnage.lint.model import DeclaredTest, PlacedMark, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.markers.vocabulary import Category
from tonnage.units import format_gib, mib_from_gib


def _without_vram(test: DeclaredTest, context: Context) -> Iterator[Found]:
    vocabulary = context.vocabulary
    if not is_gpu_test(test, vocabulary):
        return
    says_vram = {marker.name for marker in vocabulary.of(Category.VRAM)}
    if not says_vram.isdisjoint(mark_names(test)):
        return
    if any(_vram_of(mark, context) is not None for mark in all_marks(test)):
        return
    hardware = [marker.name for marker in vocabulary.of(Category.HARDWARE)]
    places = [place for name in hardware if (place := place_of(test, name))]
    yield Found(
        "GPU test without VRAM",
        next(iter(places), None),
        f"Measure it with `tonnage profile`, or add {vocabulary.name_of('max_vram_gib')}(...).",
    )


def _above_every_card(test: DeclaredTest, context: Context) -> Iterator[Found]:
    largest_mib = context.largest_card_mib
    if largest_mib is None:
        return
    for mark in all_marks(test):
        gib = _vram_of(mark, context)
        if isinstance(gib, (int, float)) and 0 < gib < 1e9 and mib_from_gib(gib) > largest_mib:
            yield Found(
                f"{mark.value.name}({gib:g}) is more than the largest card has, "
                f"{format_gib(largest_mib)}",
                mark.place,
                "Make the test need less, or name a larger card with largest_card_gib.",
            )


def _vram_of(mark: PlacedMark, context: Context) -> object:
    """What a mark says of VRAM in GiB, as written; None when it says nothing."""
    marker = context.vocabulary.get(mark.value.name)
    if marker is None:
        return None
    if marker.category is Category.VRAM:
        given = [*mark.value.args, *mark.value.kwargs.values()]
        return given[0] if given else None
    return mark.value.kwargs.get("vram_gib") if marker.meaning == "needs" else None


RULES = (
    Rule(
        "TNG106",
        "gpu-test-without-vram",
        Severity.WARNING,
        "A GPU test does not say how much VRAM it needs.",
        "It then gets whole cards, and nothing is packed beside it; `--max-vram-gib` cannot leave "
        "it out where it does not fit.",
        "@pytest.mark.gpu_1\ndef test_decode(): ...",
        "@pytest.mark.gpu_1\n@pytest.mark.max_vram_gib(8)\ndef test_decode(): ...",
        of_test=_without_vram,
        needs_all_marks=True,
    ),
    Rule(
        "TNG107",
        "vram-above-every-card",
        Severity.ERROR,
        "A test needs more VRAM than any card has.",
        "No machine of the project can run it. The largest card is `largest_card_gib`, or that of "
        "`gpus` where those are simulated; where neither says, the rule is silent.",
        "@pytest.mark.max_vram_gib(120)  # the largest card has 80 GiB\ndef test_decode(): ...",
        "@pytest.mark.gpu_2\n@pytest.mark.max_vram_gib(60)\ndef test_decode(): ...",
        of_test=_above_every_card,
        can_judge=lambda context: context.largest_card_mib is not None,
        keys=("largest_card_gib",),
    ),
)
