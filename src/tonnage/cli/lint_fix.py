"""`--fix` and `--diff` of `tonnage lint`."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from tonnage.cli.lint_answer import Answer
from tonnage.lint.fix import FixOutcome, difference, plan_fixes, write_fixes
from tonnage.lint.result import LintResult
from tonnage.units import plural

# A fix may make room for another; more often than this none follows from the one before.
_ROUNDS = 10

Plan = Callable[[LintResult], FixOutcome]


def planner(root: Path, order: Iterable[str], *, is_unsafe: bool) -> Plan:
    """What plans the fixes of a result: paths from `root`, new marks in the order of the table."""
    names = tuple(order)
    return lambda result: plan_fixes(result.findings, root, unsafe=is_unsafe, order=names)


def fixed(
    result: LintResult, check: Callable[[], LintResult], plan: Plan, answer: Answer
) -> LintResult:
    """Fix what can be fixed, and check again: what is left, and how much was fixed."""
    count = 0
    outcome = plan(result)
    for _ in range(_ROUNDS):
        if not outcome.fixed:
            break
        write_fixes(outcome)
        count += len(outcome.fixed)
        result = check()
        outcome = plan(result)
    _say_what_was_not(outcome, answer)
    answer.is_lasting = False
    return replace(result, fixed=count)


def shown_difference(
    result: LintResult, plan: Plan, shown: Callable[[str], str], answer: Answer
) -> None:
    """Answer with what fixing would change; the exit code is 1 where that is anything."""
    outcome = plan(result)
    answer.out = difference(outcome, shown)
    answer.status = int(bool(outcome.files))
    files = plural(len(outcome.files), "file")
    answer.err += f"Would fix {plural(len(outcome.fixed), 'finding')} in {files}.\n"
    _say_what_was_not(outcome, answer)
    answer.is_lasting = False


def _say_what_was_not(outcome: FixOutcome, answer: Answer) -> None:
    for each in outcome.unplaced:
        where = f"{each.finding.place.path}:{each.line}"
        answer.err += f"{where}: {each.finding.code} not fixed: {each.reason}\n"
    if outcome.unsafe:
        answer.err += f"{len(outcome.unsafe)} more can be fixed with --unsafe-fixes.\n"
