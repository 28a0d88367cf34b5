"""Questions that rules ask of a declared test: which marks, where, of which kind."""

from collections.abc import Iterator

from tonnage.lint.context import Context
from tonnage.lint.globs import pattern
from tonnage.lint.model import UNREAD, DeclaredTest, Level, Place, PlacedMark
from tonnage.markers.marks import MarkValue
from tonnage.markers.vocabulary import Category, Marker, Vocabulary


def mark_names(test: DeclaredTest) -> set[str]:
    """The names of all marks the test has, or may have, in any of its cases."""
    names = {mark.value.name for mark in test.marks}
    names.update(mark.value.name for case in test.cases for mark in case.marks)
    names.update(name for name, _ in test.possible)
    return names


def all_marks(test: DeclaredTest) -> Iterator[PlacedMark]:
    """The marks of the test and those of its cases."""
    yield from test.marks
    for case in test.cases:
        yield from case.marks


def markers_of(test: DeclaredTest, vocabulary: Vocabulary, category: Category) -> list[Marker]:
    """The known markers of a category that the test carries, or may carry, in table order."""
    names = mark_names(test)
    return [marker for marker in vocabulary.of(category) if marker.name in names]


def sets_of_marks(test: DeclaredTest) -> Iterator[tuple[PlacedMark, ...]]:
    """The marks of each variation: without a case of its own, then with each."""
    yield test.marks
    for case in test.cases:
        yield (*case.marks, *test.marks)


def is_gpu_test(test: DeclaredTest, vocabulary: Vocabulary) -> bool:
    """Whether a mark that is there for sure asks for a GPU."""
    for mark in all_marks(test):
        marker = vocabulary.get(mark.value.name)
        if marker is not None and (marker.gpu_count or marker.card):
            return True
        if marker is not None and marker.meaning == "needs":
            gpus = mark.value.kwargs.get("gpus")
            if isinstance(gpus, int) and gpus > 0:
                return True
    return False


def is_read(value: object) -> bool:
    """Whether all of a written-out value is known."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(is_read, value))
    return value is not UNREAD


def place_of(test: DeclaredTest, name: str) -> Place | None:
    """Where the closest mark of this name stands."""
    places = (mark.place for mark in all_marks(test) if mark.value.name == name and mark.place)
    return next(places, None)


def text_of(value: MarkValue) -> str | None:
    """The mark as written in a file; None where an argument is not known."""
    if not all(map(is_read, (*value.args, *value.kwargs.values()))):
        return None
    given = [_source(arg) for arg in value.args]
    given += [f"{keyword}={_source(arg)}" for keyword, arg in value.kwargs.items()]
    return f"pytest.mark.{value.name}" + (f"({', '.join(given)})" if given else "")


def _source(value: object) -> str:
    """A value as the formatters write it: texts in double quotes where that is as good."""
    text = repr(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in text:
        return f'"{text[1:-1]}"'
    return text


def own_path(test: DeclaredTest) -> str:
    """The file that pytest collects the test from."""
    return test.node_id.partition("::")[0]


def own_target(test: DeclaredTest) -> tuple[str, ...] | None:
    """The test inside its file, for an edit; None for one that another file or class declares."""
    if test.place.path != own_path(test) or not test.name:
        return None
    return (*test.class_path, test.name)


def implied_markers(test: DeclaredTest, context: Context) -> tuple[str, ...]:
    """The markers that the test's place implies, by configuration."""
    if not context.settings.implied:
        return ()
    found: list[str] = []
    path = own_path(test)
    for glob, markers in context.settings.implied.items():
        of_file, _, of_class = glob.partition("::")
        if not pattern(of_file).fullmatch(path):
            continue
        if not of_class or any(pattern(of_class).fullmatch(name) for name in test.class_path):
            found.extend(markers)
    return tuple(dict.fromkeys(found))


def at_level(test: DeclaredTest, level: Level) -> list[PlacedMark]:
    """The test's marks of one level, closest first."""
    return [mark for mark in test.marks if mark.level is level]
