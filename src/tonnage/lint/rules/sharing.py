"""TNG301-306: what may run beside other tests shares nothing with them."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from tonnage.lint.context import Context
from tonnage.lint.declared import all_marks, is_gpu_test, place_of
from tonnage.lint.facts import CallFact, EnvironmentFact, PortFact, TextFact
from tonnage.lint.model import DeclaredTest, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.lint.source import SourceFile

_CHDIR = frozenset(("os.chdir", "os.fchdir", "contextlib.chdir"))
MASK = "CUDA_VISIBLE_DEVICES"
MASK_RULE = "TNG306"
MASK_REMEDY = "Leave it to the runner: numbers in the mask the test is given begin at 0."
_HIDES_GPUS = ("", "-1")

Fact = TypeVar("Fact", CallFact, EnvironmentFact, PortFact, TextFact)


def _on_gpu(test: DeclaredTest, context: Context) -> Iterator[Found]:
    name = context.vocabulary.name_of("parallel")
    if _is_parallel(test, context) and is_gpu_test(test, context.vocabulary):
        yield Found(
            f"{name} on a GPU test",
            place_of(test, name),
            f"Take {name} away: `--pack` runs GPU tests side by side, each in its share of VRAM.",
        )


def _ports(file: SourceFile, tests: Sequence[DeclaredTest], context: Context) -> Iterator[Found]:
    for fact in _of_parallel_tests(file.facts.ports, tests, context):
        yield Found(
            f"port {fact.port} is written out in a {context.vocabulary.name_of('parallel')} test",
            fact.place,
            "Bind port 0, and ask which one it became.",
        )


def _files(file: SourceFile, tests: Sequence[DeclaredTest], context: Context) -> Iterator[Found]:
    for fact in _of_parallel_tests(file.facts.texts, tests, context):
        yield Found(
            f"{fact.value[:60]} is the same file for every "
            f"{context.vocabulary.name_of('parallel')} test",
            fact.place,
            "Use tmp_path.",
        )


def _directory(
    file: SourceFile, tests: Sequence[DeclaredTest], context: Context
) -> Iterator[Found]:
    calls = [fact for fact in file.facts.calls if fact.name in _CHDIR]
    for fact in _of_parallel_tests(calls, tests, context):
        yield Found(
            f"{fact.name} in a {context.vocabulary.name_of('parallel')} test",
            fact.place,
            "Use monkeypatch.chdir, or pass paths.",
        )


def _environment(
    file: SourceFile, tests: Sequence[DeclaredTest], context: Context
) -> Iterator[Found]:
    changes = [fact for fact in file.facts.environment if not fact.is_for_child]
    for fact in _of_parallel_tests(changes, tests, context):
        yield Found(
            f"{fact.name or 'the environment'} is changed without monkeypatch in a "
            f"{context.vocabulary.name_of('parallel')} test",
            fact.place,
            "Use monkeypatch.setenv or monkeypatch.delenv.",
        )


def _mask(file: SourceFile, tests: Sequence[DeclaredTest], context: Context) -> Iterator[Found]:
    if not tests:
        return
    for fact in file.facts.environment:
        # What is computed may well come from the mask that the test was given.
        if fact.name == MASK and fact.value is not None and fact.value not in _HIDES_GPUS:
            yield Found(
                f"{MASK} is set to {fact.value!r} by hand",
                fact.place,
                MASK_REMEDY,
            )


def _is_parallel(test: DeclaredTest, context: Context) -> bool:
    name = context.vocabulary.name_of("parallel")
    return any(mark.value.name == name for mark in all_marks(test))


def _of_parallel_tests(
    facts: Sequence[Fact], tests: Sequence[DeclaredTest], context: Context
) -> Iterator[Fact]:
    """The facts that a parallel test brings about.

    Of those outside tests, in fixtures and helpers, it is not known who uses them: they count
    where all tests of the file are parallel.
    """
    if not facts:
        return
    parallel = [test for test in tests if _is_parallel(test, context)]
    if not parallel:
        return
    all_are = len(parallel) == len(tests)
    theirs, every = _functions(parallel), _functions(tests)
    for fact in facts:
        if fact.function in theirs or (all_are and fact.function not in every):
            yield fact


def _functions(tests: Sequence[DeclaredTest]) -> set[tuple[str, ...]]:
    return {(*test.class_path, test.name) for test in tests}


RULES = (
    Rule(
        "TNG301",
        "parallel-on-gpu",
        Severity.ERROR,
        "A test is marked parallel and needs a GPU.",
        "parallel is for tests that several xdist workers may run at once, which knows nothing of "
        "GPUs: they would all use the same card.",
        "@pytest.mark.parallel\n@pytest.mark.gpu_1\ndef test_decode(): ...",
        "@pytest.mark.gpu_1\ndef test_decode(): ...",
        of_test=_on_gpu,
    ),
    Rule(
        "TNG302",
        "parallel-fixed-port",
        Severity.ERROR,
        "A parallel test uses a port that is written out.",
        "Two tests cannot have the same port; which of them fails is chance. A port in a fixture "
        "or helper counts where every test of the file is parallel.",
        "@pytest.mark.parallel\ndef test_frontend():\n    start(port=8000)",
        "@pytest.mark.parallel\ndef test_frontend(free_port):\n    start(port=free_port)",
        of_file=_ports,
    ),
    Rule(
        "TNG303",
        "parallel-fixed-file",
        Severity.ERROR,
        "A parallel test uses a fixed file under /tmp.",
        "Another test, or another run on the same machine, writes to it at the same time.",
        "@pytest.mark.parallel\ndef test_dump():\n    dump('/tmp/blocks.bin')",
        "@pytest.mark.parallel\ndef test_dump(tmp_path):\n    dump(tmp_path / 'blocks.bin')",
        of_file=_files,
    ),
    Rule(
        "TNG304",
        "parallel-chdir",
        Severity.ERROR,
        "A parallel test changes the working directory.",
        "It belongs to the whole process. monkeypatch.chdir puts it back whatever happens.",
        "@pytest.mark.parallel\ndef test_layout():\n    os.chdir('data')",
        "@pytest.mark.parallel\ndef test_layout(monkeypatch):\n    monkeypatch.chdir('data')",
        of_file=_directory,
    ),
    Rule(
        "TNG305",
        "parallel-environment",
        Severity.ERROR,
        "A parallel test changes the environment without monkeypatch.",
        "The tests after it in the same worker see the change.",
        "@pytest.mark.parallel\ndef test_level():\n    os.environ['LOG'] = 'debug'",
        "@pytest.mark.parallel\ndef test_level(monkeypatch):\n"
        "    monkeypatch.setenv('LOG', 'debug')",
        of_file=_environment,
    ),
    Rule(
        MASK_RULE,
        "hand-set-gpu-mask",
        Severity.ERROR,
        "CUDA_VISIBLE_DEVICES is set by hand in a test or a launch script.",
        "The runner gives each test its GPUs through this variable; one that sets it uses another "
        "test's card. Setting it empty, to hide the GPUs, is fine. Scripts are the *.sh files "
        "below the paths that are checked.",
        "def test_decode():\n    os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n    decode()",
        "def test_decode():\n    decode(device='cuda:0')",
        of_file=_mask,
    ),
)
