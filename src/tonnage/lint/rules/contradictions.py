"""TNG104, 105, 109 and 110: marks that contradict each other or carry a wrong argument.

What is wrong is for `requirement_of` to say, as in a run; here it gets a code and a place.
"""

from collections.abc import Iterator

from tonnage.errors import MarkerError, MarkerProblem, MarkerProblemKind
from tonnage.lint.context import Context
from tonnage.lint.declared import all_marks, is_read, sets_of_marks
from tonnage.lint.model import DeclaredTest, PlacedMark, Severity
from tonnage.lint.rule import Found, Rule, TestCheck
from tonnage.markers.marks import MarkValue
from tonnage.markers.requirement import requirement_of
from tonnage.markers.vocabulary import Vocabulary


def problems_of(
    test: DeclaredTest, vocabulary: Vocabulary
) -> Iterator[tuple[MarkerProblem, tuple[PlacedMark, ...]]]:
    """What is wrong with the marks of each variation of a test, with those marks; once each."""
    seen: set[str] = set()
    if not any(vocabulary.get(mark.value.name) for mark in all_marks(test)):
        return
    for marks in sets_of_marks(test):
        known = [value for mark in marks if (value := _as_far_as_read(mark.value)) is not None]
        try:
            requirement_of(known, vocabulary)
        except MarkerError as error:
            for problem in error.problems:
                if problem.reason not in seen:
                    seen.add(problem.reason)
                    yield problem, marks


def _as_far_as_read(value: MarkValue) -> MarkValue | None:
    """The mark without arguments that are not known; None where its only one is not."""
    if not all(map(is_read, value.args)):
        return None
    known = {key: arg for key, arg in value.kwargs.items() if is_read(arg)}
    if len(known) == len(value.kwargs):
        return value
    return MarkValue(value.name, value.args, known) if known else None


def _of_kind(kind: MarkerProblemKind) -> TestCheck:
    def check(test: DeclaredTest, context: Context) -> Iterator[Found]:
        for problem, marks in problems_of(test, context.vocabulary):
            if problem.kind is kind:
                places = [
                    mark.place for mark in marks if mark.value.name in problem.marks and mark.place
                ]
                yield Found(problem.reason, next(iter(places), None), problem.remedy)

    return check


RULES = (
    Rule(
        "TNG104",
        "gpu-count-conflict",
        Severity.ERROR,
        "A test declares two numbers of GPUs.",
        "`pytest -m gpu_1` and `-m gpu_2` would both select it, and it can be given only one of "
        "them. It often comes from a mark on the class or module.",
        "@pytest.mark.gpu_1\n@pytest.mark.gpu_2\ndef test_transfer(): ...",
        "@pytest.mark.gpu_2\ndef test_transfer(): ...",
        of_test=_of_kind(MarkerProblemKind.GPU_COUNTS),
    ),
    Rule(
        "TNG105",
        "vram-without-gpu",
        Severity.ERROR,
        "A test declares VRAM or a card, and no GPU.",
        "gpu_0 means that the test sees no GPU; it then has no use for VRAM or a kind of card.",
        "@pytest.mark.gpu_0\n@pytest.mark.max_vram_gib(4)\ndef test_cache(): ...",
        "@pytest.mark.gpu_1\n@pytest.mark.max_vram_gib(4)\ndef test_cache(): ...",
        of_test=_of_kind(MarkerProblemKind.NO_GPU),
    ),
    Rule(
        "TNG109",
        "wrong-marker-argument",
        Severity.ERROR,
        "A marker has an argument that cannot be used.",
        "The test would be an error in a packed run, which cannot know what it needs.",
        '@pytest.mark.max_vram_gib("4 GiB")\ndef test_cache(): ...',
        "@pytest.mark.max_vram_gib(4)\ndef test_cache(): ...",
        of_test=_of_kind(MarkerProblemKind.ARGUMENT),
    ),
    Rule(
        "TNG110",
        "vram-conflict",
        Severity.ERROR,
        "The markers of a test disagree about its VRAM.",
        "Two declared figures differ, or the measured peak is above the declared one.",
        "@pytest.mark.max_vram_gib(8)\n@pytest.mark.profiled_vram_gib(9.5)\ndef test_cache(): ...",
        "@pytest.mark.max_vram_gib(11)\n@pytest.mark.profiled_vram_gib(9.5)\ndef test_cache(): ...",
        of_test=_of_kind(MarkerProblemKind.VRAM),
    ),
)
