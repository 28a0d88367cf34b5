"""TNG405 and 406: what makes a test's outcome depend on chance: sleeping, and random numbers."""

import re
from collections.abc import Iterator, Sequence

from tonnage.lint.context import Context
from tonnage.lint.facts import CallFact
from tonnage.lint.model import DeclaredTest, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.lint.source import SourceFile
from tonnage.units import format_duration

_LIBRARIES = ("random", "numpy.random", "cupy.random", "torch", "tensorflow.random", "tf.random")
_SEEDING = re.compile(
    r"random\.seed|(numpy|cupy)\.random\.(seed|set_state)|random\.setstate"
    r"|torch\.(cuda\.)?(manual_seed|manual_seed_all)|(tensorflow|tf)\.random\.set_seed"
)
# These take the seed themselves, and are unseeded only without one.
_SEEDED = re.compile(
    r"random\.Random|(numpy|cupy)\.random\.(default_rng|RandomState|SeedSequence|PCG64|MT19937"
    r"|Philox|SFC64)"
)
_HARMLESS = re.compile(
    r"random\.(SystemRandom|getstate|get_state|Generator)\b.*"
    r"|(numpy|cupy)\.random\.(Generator|BitGenerator|get_state|bit_generator|mtrand|Random\w+)\b.*"
    r"|jax\.random\..*|torch\.(seed|Generator|cuda\.seed)|torch\.(cuda\.)?initial_seed"
    r"|tensorflow\.random\.Generator.*"
)


def _sleeps(file: SourceFile, tests: Sequence[DeclaredTest], context: Context) -> Iterator[Found]:
    limit_s = context.settings.sleep_limit_s
    of_tests = {(*test.class_path, test.name) for test in tests}
    for call in file.facts.calls:
        if call.name != "time.sleep" or call.in_loop or call.function not in of_tests:
            continue
        given = call.args[0] if call.args else dict(call.kwargs).get("secs")
        if not isinstance(given, (int, float)) or given <= limit_s:
            continue
        yield Found(
            f"{call.name} of {format_duration(given)} to wait for something",
            call.place,
            "Wait for the event itself, with a timeout.",
        )


def _unseeded(file: SourceFile, tests: Sequence[DeclaredTest], context: Context) -> Iterator[Found]:
    of_tests = {(*test.class_path, test.name) for test in tests}
    calls = file.facts.calls
    seeded_anywhere = {
        _library(call.name)
        for call in calls
        if _SEEDING.fullmatch(call.name) and call.function not in of_tests
    }
    told: set[tuple[str, ...]] = set()
    for call in calls:
        library = _library(call.name)
        if library is None or call.function not in of_tests or call.function in told:
            continue
        if _is_seeded(call, calls, library) or library in seeded_anywhere:
            continue
        told.add(call.function)
        yield Found(
            f"{call.name} without a fixed seed",
            call.place,
            "Seed it, or draw from a generator with a seed of its own.",
        )


def _is_seeded(call: CallFact, calls: Sequence[CallFact], library: str) -> bool:
    """Whether a call gives the same numbers each time, or gives none."""
    if _SEEDED.fullmatch(call.name):
        given = [*call.args, *(value for _, value in call.kwargs)]
        return any(value is not None for value in given)
    if _SEEDING.fullmatch(call.name) or _HARMLESS.fullmatch(call.name):
        return True
    return any(
        _SEEDING.fullmatch(other.name)
        and other.function == call.function
        and _library(other.name) == library
        for other in calls
    ) or any(word in ("generator", "random_state", "seed") for word, _ in call.kwargs)


def _library(name: str) -> str | None:
    return next((each for each in _LIBRARIES if name.startswith(f"{each}.")), None)


RULES = (
    Rule(
        "TNG405",
        "sleep-to-wait",
        Severity.WARNING,
        "A test sleeps to wait for something.",
        "On a busy machine it is too short, on any other too long. Told is `time.sleep` "
        "above `sleep_limit_s` in a test, outside of a loop that asks again.",
        "def test_start():\n    start()\n    time.sleep(5)\n    assert ready()",
        "def test_start():\n    start()\n    wait_until(ready, timeout_s=30)",
        of_file=_sleeps,
        keys=("sleep_limit_s",),
    ),
    Rule(
        "TNG406",
        "unseeded-randomness",
        Severity.INFO,
        "A test draws random numbers without a fixed seed.",
        "When it fails, it cannot be repeated. A seed in the test, or anywhere else in the file "
        "(a fixture, the module), counts.",
        "def test_sampling():\n    x = numpy.random.rand(8)",
        "def test_sampling():\n    x = numpy.random.default_rng(1).random(8)",
        of_file=_unseeded,
    ),
)
