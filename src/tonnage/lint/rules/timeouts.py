"""TNG201-203: what may hang has a timeout, within its budget and near what was measured."""

from collections.abc import Iterator

from tonnage.lint.context import Context
from tonnage.lint.declared import is_gpu_test, is_read, mark_names, markers_of, place_of
from tonnage.lint.model import DeclaredTest, PlacedMark, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.markers.arguments import WrongValueError, seconds
from tonnage.markers.vocabulary import Category
from tonnage.units import format_duration

_LONG_RUNNING = ("e2e", "slow")
# 2 to 3 times the mean is right; so far from there it is told. Up to a minute no timeout is long.
_TOO_TIGHT, _TOO_LOOSE, _NEVER_LONG_S = 1.5, 4.5, 60.0


def _missing(test: DeclaredTest, context: Context) -> Iterator[Found]:
    vocabulary = context.vocabulary
    names = mark_names(test)
    if vocabulary.name_of("timeout") in names or context.default_timeout_s:
        return
    sure = {mark.value.name for mark in test.marks}
    sure.update(mark.value.name for case in test.cases for mark in case.marks)
    roles = map(vocabulary.name_of, _LONG_RUNNING)
    long = [name for name in roles if name in sure and vocabulary.get(name)]
    if not long and is_gpu_test(test, vocabulary):
        long = [
            marker.name
            for marker in markers_of(test, vocabulary, Category.HARDWARE)
            if marker.gpu_count != 0
        ] or [vocabulary.name_of("needs")]
    if long:
        yield Found(
            f"{long[0]} test without a timeout",
            place_of(test, long[0]),
            "Add timeout(seconds), two to three times what it takes.",
        )


def _above_budget(test: DeclaredTest, context: Context) -> Iterator[Found]:
    mark, timeout_s = _timeout(test, context)
    stages = markers_of(test, context.vocabulary, Category.LIFECYCLE)
    if mark is None or timeout_s is None or not stages:
        return
    stage = stages[0].name
    budget_s = context.settings.timeout_budgets_s.get(stage)
    if budget_s is not None and timeout_s > budget_s:
        yield Found(
            f"timeout of {format_duration(timeout_s)} is above the {format_duration(budget_s)} "
            f"that a {stage} test may take",
            mark.place,
            "Make the test faster, or move it to a later stage.",
        )


def _far_from_history(test: DeclaredTest, context: Context) -> Iterator[Found]:
    mean_s = context.durations_s.get(test.node_id)
    mark, timeout_s = _timeout(test, context)
    if mark is None or timeout_s is None or not mean_s:
        return
    is_tight = timeout_s < _TOO_TIGHT * mean_s
    is_loose = timeout_s > max(_TOO_LOOSE * mean_s, _NEVER_LONG_S)
    if is_tight or is_loose:
        yield Found(
            f"timeout of {format_duration(timeout_s)} is {timeout_s / mean_s:.1f} times the "
            f"mean of {format_duration(mean_s)}",
            mark.place,
            f"Two to three times is right: {2 * mean_s:.0f} to {3 * mean_s:.0f} seconds.",
        )


def _timeout(test: DeclaredTest, context: Context) -> tuple[PlacedMark | None, float | None]:
    """The closest timeout and its seconds; None where it cannot be read or is no limit."""
    name = context.vocabulary.name_of("timeout")
    mark = next((mark for mark in test.marks if mark.value.name == name), None)
    if mark is None:
        return None, None
    value = mark.value.args[0] if mark.value.args else mark.value.kwargs.get("timeout")
    if not is_read(value):
        return None, None
    try:
        return mark, seconds(value)
    except WrongValueError:  # told by the rule about arguments
        return None, None


RULES = (
    Rule(
        "TNG201",
        "missing-timeout",
        Severity.WARNING,
        "A test that may run long has no timeout.",
        "An e2e, GPU or slow test that hangs holds its GPU until the whole job is ended. pytest's "
        "`timeout` setting counts as one for all.",
        "@pytest.mark.e2e\n@pytest.mark.gpu_1\ndef test_serve(): ...",
        "@pytest.mark.e2e\n@pytest.mark.gpu_1\n@pytest.mark.timeout(240)\ndef test_serve(): ...",
        of_test=_missing,
        needs_all_marks=True,
    ),
    Rule(
        "TNG202",
        "timeout-above-budget",
        Severity.WARNING,
        "A timeout is longer than the test's lifecycle allows.",
        "One hanging test may then use up the time of its whole stage. `timeout_budgets_s` says "
        "what each allows.",
        "@pytest.mark.pre_merge\n@pytest.mark.timeout(1800)\ndef test_serve(): ...",
        "@pytest.mark.nightly\n@pytest.mark.timeout(1800)\ndef test_serve(): ...",
        of_test=_above_budget,
        keys=("timeout_budgets_s",),
    ),
    Rule(
        "TNG203",
        "timeout-far-from-history",
        Severity.WARNING,
        "A timeout is far from what the test was seen to take.",
        "Two to three times the mean leaves room for a slow day and still ends what hangs. Told "
        "are timeouts under 1.5 times the mean, and over 4.5 times where that is over a minute.",
        "@pytest.mark.timeout(1800)  # takes 40 s\ndef test_serve(): ...",
        "@pytest.mark.timeout(120)  # takes 40 s\ndef test_serve(): ...",
        of_test=_far_from_history,
        reads_history=True,
        can_judge=lambda context: bool(context.durations_s),
    ),
)
