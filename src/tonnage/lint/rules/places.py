"""TNG501-504: where files with tests lie, and what they are called."""

import fnmatch
from collections.abc import Iterator, Sequence

from tonnage.lint.context import Context
from tonnage.lint.declared import markers_of, own_path, place_of
from tonnage.lint.globs import matches
from tonnage.lint.model import DeclaredTest, Place, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.lint.source import SourceFile
from tonnage.markers.vocabulary import Category
from tonnage.units import plural


def _file_name(
    file: SourceFile, tests: Sequence[DeclaredTest], context: Context
) -> Iterator[Found]:
    name = file.path.rpartition("/")[2]
    globs = context.settings.file_names
    if globs is None:
        # A vocabulary without components cannot ask for their names.
        globs = ("test_*_*.py",) if context.vocabulary.of(Category.COMPONENT) else ("*",)
    if tests and not any(fnmatch.fnmatchcase(name, glob) for glob in globs):
        yield Found(
            f"{name} is not called {' or '.join(globs)}",
            Place(file.path, 1),
            "Name the component and what is tested of it: test_<component>_<flow>.py.",
        )


def _of_component(test: DeclaredTest, context: Context) -> Iterator[Found]:
    kinds = _marked(test, context, ("unit", "integration"))
    components = markers_of(test, context.vocabulary, Category.COMPONENT)
    places = context.settings.component_places
    if kinds and components and not matches(own_path(test), places):
        yield Found(
            f"{kinds[0]} test of {components[0].name} outside its tests folder",
            place_of(test, kinds[0]),
            f"Move it to a place such as {places[0]}." if places else "",
        )


def _e2e(test: DeclaredTest, context: Context) -> Iterator[Found]:
    kinds = _marked(test, context, ("e2e",))
    places = context.settings.e2e_places
    if kinds and not matches(own_path(test), places):
        yield Found(
            f"e2e test outside {', '.join(places) or 'every place for them'}",
            place_of(test, kinds[0]),
            f"Move it to {places[0]}." if places else "",
        )


def _not_collected(
    file: SourceFile, tests: Sequence[DeclaredTest], context: Context
) -> Iterator[Found]:
    if not file.is_collected and file.hidden_tests:
        yield Found(
            f"pytest does not collect this file, with {plural(file.hidden_tests, 'test')}",
            Place(file.path, 1),
            "Rename it as `python_files` says, such as test_*.py.",
        )


def _marked(test: DeclaredTest, context: Context, roles: Sequence[str]) -> list[str]:
    """Which of these markers the test carries."""
    names = {mark.value.name for mark in test.marks}
    return [name for role in roles if (name := context.vocabulary.name_of(role)) in names]


RULES = (
    Rule(
        "TNG501",
        "test-file-name",
        Severity.INFO,
        "A test file is not called test_<component>_<flow>.py.",
        "Its name alone then says what broke. `file_names` says which names are right.",
        "tests/router/test_it.py",
        "tests/router/test_router_failover.py",
        of_file=_file_name,
        keys=("file_names",),
    ),
    Rule(
        "TNG502",
        "component-test-place",
        Severity.WARNING,
        "A unit or integration test of a component lies outside the component's tests folder.",
        "Whoever changes the component looks there, and its job runs what lies there. Concerned "
        "are tests with a component marker; `component_places` says where they may lie.",
        "# benchmarks/test_vllm_args.py\n@pytest.mark.unit\n@pytest.mark.vllm\n"
        "def test_args(): ...",
        "# components/src/dynamo/vllm/tests/test_vllm_args.py\n@pytest.mark.unit\n"
        "@pytest.mark.vllm\ndef test_args(): ...",
        of_test=_of_component,
        reads_place=True,
        keys=("component_places",),
    ),
    Rule(
        "TNG503",
        "e2e-place",
        Severity.WARNING,
        "An e2e test lies outside tests/.",
        "Tests of the whole system belong to no component. `e2e_places` says where they may lie.",
        "# components/src/dynamo/vllm/tests/test_vllm_serve.py\n@pytest.mark.e2e\n"
        "def test_serve(): ...",
        "# tests/serve/test_serve_vllm.py\n@pytest.mark.e2e\ndef test_serve(): ...",
        of_test=_e2e,
        reads_place=True,
        keys=("e2e_places",),
    ),
    Rule(
        "TNG504",
        "not-collected",
        Severity.ERROR,
        "A file looks like tests, and pytest does not collect it.",
        "Its tests never run. pytest goes by `python_files`: test_*.py and *_test.py.",
        "tests/router_tests.py",
        "tests/test_router_failover.py",
        of_file=_not_collected,
    ),
)
