"""`--baseline` and `--update-baseline` of `tonnage lint`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tonnage.cli.lint_answer import Answer
from tonnage.cli.output_file import write_output
from tonnage.errors import OptionError
from tonnage.lint.baseline import (
    Accepted,
    Baseline,
    baseline_text,
    parse_baseline,
    split,
    updated,
)
from tonnage.lint.result import LintResult
from tonnage.lint.rule import Rule
from tonnage.units import plural


def apply_baseline(
    result: LintResult,
    file: Path,
    was_checked: "Checked",
    answer: Answer,
    *,
    is_updated: bool,
) -> LintResult:
    """The result without what the file accepts; written anew before, where that was asked for.

    Raises OptionError where there is no such file, ConfigError where it is none of ours.
    """
    answer.depends_on += (str(file.absolute()),)
    baseline = _read(file, may_be_missing=is_updated)
    if is_updated:
        baseline = updated(baseline, result.findings, was_checked)
        write_output(file, baseline_text(baseline))
        answer.err += f"{file}: {plural(baseline.total(), 'finding')} accepted\n"
        answer.is_lasting = False
    new, known = split(result.findings, baseline)
    gone = sum(count for kind, count in baseline.items() if was_checked(kind)) - known
    if gone:
        answer.err += (
            f"{file}: {plural(gone, 'accepted finding')} no longer there; "
            "--update-baseline removes them\n"
        )
    return replace(result, findings=new, accepted=known)


class Checked:
    """Whether a run would have found a finding again: by its paths and rules."""

    def __init__(self, root: Path, paths: Sequence[Path], rules: Sequence[Rule]) -> None:
        self._root = root
        self._paths = tuple(paths)
        self._codes = {rule.code for rule in rules}

    def __call__(self, kind: Accepted) -> bool:
        """Whether it would."""
        file = self._root / kind.path
        return kind.code in self._codes and any(file.is_relative_to(path) for path in self._paths)


def _read(file: Path, *, may_be_missing: bool) -> Baseline:
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
