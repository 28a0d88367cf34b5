"""TNG108 and 114: marks whose names mean nothing here."""

from collections.abc import Iterator

from tonnage.errors import suggestion
from tonnage.lint.context import Context
from tonnage.lint.declared import all_marks, own_path, own_target, text_of
from tonnage.lint.model import DeclaredTest, Edit, Level, PlacedMark, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.markers.marks import MarkValue

_OF_PYTEST = frozenset(
    ("filterwarnings", "parametrize", "skip", "skipif", "tryfirst", "trylast", "usefixtures")
) | {"xfail"}
_OF_PLUGINS = frozenset(
    (
        *("anyio", "asyncio", "asyncio_cooperative", "trio", "tornado", "gen_test", "twisted"),
        *("benchmark", "codspeed", "django_db", "urls", "ignore_template_errors"),
        *("dependency", "order", "run", "first", "last", "second_to_last", "depends"),
        *("flaky", "repeat", "rerun", "reruns", "no_cover", "timeout", "xdist_group"),
        *("forked", "isolate", "freeze_time", "time_machine", "httpx_mock", "respx", "vcr"),
        *("block_network", "default_cassette", "disable_socket", "enable_socket", "allow_hosts"),
        *("hypothesis", "thread_unsafe", "parallel_threads", "iterations", "mpl_image_compare"),
        *("array_compare", "remote_data", "internet_off", "openfiles_ignore", "doctest"),
        *("playwright", "browser_context_args", "skip_browser", "only_browser", "selenium"),
        *("datafiles", "dataset", "testmon", "snapshot", "qt_log_level_fail", "qt_log_ignore"),
        *("qt_no_exception_capture", "pandas", "subprocess", "limit_memory", "limit_leaks"),
    )
)


def _unknown(test: DeclaredTest, context: Context) -> Iterator[Found]:
    vocabulary = context.vocabulary
    for mark in _written(test):
        name = mark.value.name
        if name in _OF_PYTEST or name in _OF_PLUGINS or name in context.registered:
            continue
        if vocabulary.get(name) is not None or name in context.renamed:
            continue
        nearest = suggestion(name, [*vocabulary.known(), *context.registered, *_OF_PYTEST])
        yield Found(
            f'unknown marker "{name}"' + (f"; {nearest}" if nearest else ""),
            mark.place,
            "Correct it, or register it in pytest's `markers` or the vocabulary.",
        )


def _replaced(test: DeclaredTest, context: Context) -> Iterator[Found]:
    for mark in _written(test):
        new = context.renamed.get(mark.value.name)
        if new is None or mark.value.name in context.registered:
            continue
        yield Found(
            f'"{mark.value.name}" is called "{new}" in this project, and means nothing itself',
            mark.place,
            f"Write {new}.",
            _renaming(test, mark, new),
        )


def _renaming(test: DeclaredTest, mark: PlacedMark, new: str) -> tuple[Edit, ...]:
    target = own_target(test)
    old_text = text_of(mark.value)
    new_text = text_of(MarkValue(new, mark.value.args, mark.value.kwargs))
    if target is None or mark.level not in _PLACES or old_text is None or new_text is None:
        return ()
    at = {Level.TEST: target, Level.CLASS: test.class_path, Level.MODULE: ()}[mark.level]
    if mark.place is None or mark.place.path != own_path(test):
        return ()
    return (Edit(mark.place.path, at, (old_text,), (new_text,), safe=False),)


def _written(test: DeclaredTest) -> Iterator[PlacedMark]:
    """The marks that stand in a file, or were put on the item itself at collection."""
    return (mark for mark in all_marks(test) if mark.level is not Level.ELSEWHERE)


_PLACES = (Level.TEST, Level.CLASS, Level.MODULE)

RULES = (
    Rule(
        "TNG108",
        "unknown-marker",
        Severity.ERROR,
        "A marker is in no vocabulary and not registered.",
        "A misspelt marker selects nothing: `-m pre_merge` does not find pre_marge. Known are the "
        "vocabulary, pytest's own markers, those of its `markers` setting and of common plugins.",
        "@pytest.mark.pre_marge\ndef test_router(): ...",
        "@pytest.mark.pre_merge\ndef test_router(): ...",
        of_test=_unknown,
    ),
    Rule(
        "TNG114",
        "replaced-marker",
        Severity.ERROR,
        "A marker is written with the name that the project gave up.",
        "`rename` in the vocabulary gives a marker another name; the old one then means nothing.",
        '@pytest.mark.gpu_1  # rename = { gpu_1 = "one_gpu" }\ndef test_decode(): ...',
        "@pytest.mark.one_gpu\ndef test_decode(): ...",
        of_test=_replaced,
        fixable=True,
    ),
)
