"""TNG111-113: the same mark twice, a mark that is given already, marks out of order."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tonnage.lint.context import Context
from tonnage.lint.declared import at_level, own_path, own_target, text_of
from tonnage.lint.model import DeclaredTest, Edit, Level, PlacedMark, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.markers.vocabulary import Category

# Marks that may stand several times: each says something of its own.
_MAY_REPEAT = frozenset(("parametrize", "usefixtures", "filterwarnings", "skipif", "xfail", "skip"))
_IN_ORDER = (
    Category.LIFECYCLE,
    Category.TYPE,
    Category.HARDWARE,
    Category.VRAM,
    Category.ENGINE_CAP,
    Category.COMPONENT,
    Category.INFRASTRUCTURE,
    Category.EXECUTION,
)


def _duplicates(test: DeclaredTest, context: Context) -> Iterator[Found]:
    for level in (Level.TEST, Level.CLASS, Level.MODULE):
        marks = _comparable(at_level(test, level))
        texts = Counter(text for text, _ in marks)
        seen: set[str] = set()
        for text, mark in marks:
            if text in seen:
                name = mark.value.name
                yield Found(
                    f"{name} stands here {_times(texts[text])}",
                    mark.place,
                    "Keep one.",
                    _edits(test, level, (text,), (text,)),
                )
            seen.add(text)


def _given_already(test: DeclaredTest, context: Context) -> Iterator[Found]:
    around = [(Level.CLASS, "class"), (Level.MODULE, "module")]
    outer = {level: {text for text, _ in _comparable(at_level(test, level))} for level, _ in around}
    for text, mark in _comparable(at_level(test, Level.TEST)):
        by = [word for level, word in around if text in outer[level]]
        if by:
            yield Found(
                f"the {by[0]} gives {mark.value.name} already",
                mark.place,
                "Take it away here.",
                _edits(test, Level.TEST, (text,), ()),
            )


def _out_of_order(test: DeclaredTest, context: Context) -> Iterator[Found]:
    vocabulary = context.vocabulary
    ranks: list[tuple[int, str, PlacedMark]] = []
    for mark in reversed(at_level(test, Level.TEST)):
        marker = vocabulary.get(mark.value.name)
        text = text_of(mark.value)
        if marker is not None and marker.category in _IN_ORDER and text is not None:
            ranks.append((_IN_ORDER.index(marker.category), text, mark))
    lines = [mark.place.line for _, _, mark in ranks if mark.place]
    if len(lines) < len(ranks) or lines != sorted(set(lines)):
        return
    in_order = sorted(ranks, key=lambda each: each[0])
    if ranks != in_order:
        first = next(a for a, b in zip(ranks, in_order, strict=True) if a is not b)
        wanted = [text for _, text, _ in in_order]
        names = ", ".join(mark.value.name for _, _, mark in in_order)
        yield Found(
            "markers out of order",
            first[2].place,
            f"Order them {names}.",
            _edits(test, Level.TEST, [text for _, text, _ in ranks], wanted),
        )


def _comparable(marks: Sequence[PlacedMark]) -> list[tuple[str, PlacedMark]]:
    """The marks whose meaning is known and that say nothing new the second time, with texts."""
    return [
        (text, mark)
        for mark in marks
        if mark.value.name not in _MAY_REPEAT and (text := text_of(mark.value)) is not None
    ]


def _edits(
    test: DeclaredTest, level: Level, remove: Sequence[str], add: Sequence[str]
) -> tuple[Edit, ...]:
    target = own_target(test)
    if target is None:
        return ()
    at = {Level.TEST: target, Level.CLASS: test.class_path, Level.MODULE: ()}[level]
    return (Edit(own_path(test), at, tuple(remove), tuple(add)),)


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


RULES = (
    Rule(
        "TNG111",
        "duplicate-marker",
        Severity.WARNING,
        "A mark stands twice in the same place.",
        "The second says nothing; usually another marker was meant.",
        "@pytest.mark.gpu_1\n@pytest.mark.gpu_1\ndef test_decode(): ...",
        "@pytest.mark.gpu_1\ndef test_decode(): ...",
        of_test=_duplicates,
        fixable=True,
    ),
    Rule(
        "TNG112",
        "marker-given-already",
        Severity.INFO,
        "A test repeats a mark of its class or module.",
        "When the class changes, the test keeps the old mark, and nobody knows which is meant.",
        "pytestmark = pytest.mark.gpu_0\n\n@pytest.mark.gpu_0\ndef test_tables(): ...",
        "pytestmark = pytest.mark.gpu_0\n\ndef test_tables(): ...",
        of_test=_given_already,
        fixable=True,
    ),
    Rule(
        "TNG113",
        "marker-order",
        Severity.INFO,
        "The decorators of a test are not in the usual order.",
        "Lifecycle, type, hardware, VRAM, engine caps, component, infrastructure, execution: in "
        "one order everywhere, what is missing is seen at a glance.",
        "@pytest.mark.gpu_1\n@pytest.mark.pre_merge\n@pytest.mark.e2e\ndef test_decode(): ...",
        "@pytest.mark.pre_merge\n@pytest.mark.e2e\n@pytest.mark.gpu_1\ndef test_decode(): ...",
        of_test=_out_of_order,
        fixable=True,
    ),
)
