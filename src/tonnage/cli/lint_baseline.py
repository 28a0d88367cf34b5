"""`--baseline` and `--update-baseline` of `tonnage lint`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tonnage.cli.lint_answer import Answer
from tonnage.cli.output_file import write_output
from tonnage.errors import OptionError
from tonnage.lint.baseline import Accepted, Baseline, baseline_text, parse_baseline, updated
from tonnage.lint.result import LintResult
from tonnage.lint.rule import Rule
from tonnage.units import plural

WasChecked = Callable[[Accepted], bool]


def read_baseline(file: Path, *, may_be_missing: bool) -> Baseline:
    """What the file accepts; nothing where it may be missing and is.

    Raises OptionError where it cannot be read, ConfigError where it is none of ours.
    """
    try:
        return parse_baseline(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError as error:
        if may_be_missing:
            return Counter()
        raise OptionError(
            f"there is no {file}", where="--baseline", remedy="--update-baseline writes it."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(f"cannot read {file}: {reason}", where="--baseline") from error


def checked_by(root: Path, paths: Sequence[Path], rules: Sequence[Rule]) -> WasChecked:
    """Whether a run with these paths and rules would find a finding again, were it still there."""
    codes = {rule.code for rule in rules}

    def was_checked(kind: Accepted) -> bool:
        file = root / kind.path
        return kind.code in codes and any(file.is_relative_to(path) for path in paths)

    return was_checked


def write_baseline(
    file: Path, baseline: Baseline, result: LintResult, was_checked: WasChecked, answer: Answer
) -> LintResult:
    """Accept all that was found: the result has nothing new any more."""
    now = updated(baseline, result.findings, was_checked)
    write_output(file, baseline_text(now))
    answer.err += f"{file}: {plural(sum(now.values()), 'finding')} accepted\n"
    answer.is_lasting = False
    return replace(result, findings=(), accepted=len(result.findings))


def say_what_is_gone(
    file: Path, baseline: Baseline, result: LintResult, was_checked: WasChecked, answer: Answer
) -> None:
    """Say how much the file accepts that is not there any more, so that it gets shorter."""
    known = sum(count for kind, count in baseline.items() if was_checked(kind))
    if gone := known - result.accepted:
        answer.err += (
            f"{file}: {plural(gone, 'accepted finding')} no longer there; "
            "--update-baseline removes what is gone\n"
        )
