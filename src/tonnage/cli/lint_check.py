"""Checking a suite for `tonnage lint`, from its settings to the text of the findings."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from tonnage.cli.lint_answer import Answer
from tonnage.cli.lint_baseline import (
    checked_by,
    read_baseline,
    say_what_is_gone,
    write_baseline,
)
from tonnage.cli.lint_options import Format, LintOptions
from tonnage.config import LintSettings, load_settings
from tonnage.errors import OptionError, suggestion
from tonnage.lint.baseline import Baseline, split
from tonnage.lint.check import in_order, judge, selected_rules, without_used
from tonnage.lint.checking import check_paths
from tonnage.lint.colour import coloured, plain
from tonnage.lint.context import Context, context_of
from tonnage.lint.elsewhere import find_elsewhere
from tonnage.lint.format_concise import closing, concise, statistics
from tonnage.lint.format_full import full
from tonnage.lint.format_github import github
from tonnage.lint.format_json import as_data, as_json, finding_from
from tonnage.lint.format_sarif import sarif
from tonnage.lint.model import Finding, IgnoredCode
from tonnage.lint.project import Project
from tonnage.lint.result import LintResult
from tonnage.lint.rule import Rule
from tonnage.lint.rules import RULES
from tonnage.lint.rust import RustReaderMissingError, check_rust
from tonnage.lint.scripts import check_scripts
from tonnage.lint.silence import silent_rules
from tonnage.lint.source import Reading
from tonnage.record.store import HOME, MEASURED


@dataclass(frozen=True, slots=True)
class _Checks:
    """What is checked, by which rules, and what is accepted; the same for each round of fixing."""

    options: LintOptions
    project: Project
    paths: list[Path]
    cache: str | None
    rules: tuple[Rule, ...]
    context: Context
    accepted: Baseline


def check_suite(
    options: LintOptions,
    project: Project,
    paths: list[Path],
    cache: str | None,
    *,
    has_colour: bool,
) -> Answer:
    """Check, and write what was found as the options say."""
    root = project.root
    settings = load_settings(root)
    rules = selected_rules(_selection(settings.lint, options))
    history = root / HOME / MEASURED
    context = context_of(
        settings,
        today=date.today(),  # noqa: DTZ011 - the day that people here call today
        registered=frozenset(project.markers),
        default_timeout_s=project.timeout_s,
        xfail_strict=project.xfail_strict,
        durations_s=_durations_s(root) if history.exists() else {},
    )
    baseline: Baseline = Counter()
    if options.baseline is not None:
        baseline = read_baseline(options.baseline, may_be_missing=options.update_baseline)
    accepted = Counter() if options.update_baseline else baseline
    checks = _Checks(options, project, paths, cache, rules, context, accepted)
    answer = Answer()
    answer.depends_on += (str(history),)
    result = _checked(checks, answer)
    if options.fix or options.diff:
        from tonnage.cli.lint_fix import fixed, planner, shown_difference  # the editor's start

        plan = planner(root, settings.vocabulary.known(), is_unsafe=options.unsafe_fixes)
        if options.diff:
            shown_difference(result, plan, _from_here(str(root)), answer)
            return answer
        result = fixed(result, lambda: _checked(checks, answer), plan, answer)
    if options.baseline is not None:
        file, was_checked = options.baseline, checked_by(root, paths, rules)
        if options.update_baseline:
            result = write_baseline(file, baseline, result, was_checked, answer)
        else:
            say_what_is_gone(file, baseline, result, was_checked, answer)
        answer.depends_on += (str(file.absolute()),)
    answer.out = _formatted(result, options, str(root), has_colour=has_colour)
    answer.status = result.status
    if options.output is not None:
        answer.err += "".join(f"{line}\n" for line in closing(result, plain))
    return answer


def _durations_s(root: Path) -> dict[str, float]:
    """What recorded runs know, in seconds by node id."""
    from tonnage.lint.history import mean_durations_s  # the start of the records
    from tonnage.record.measured_file import load_measured

    return mean_durations_s(load_measured(root))


def _selection(settings: LintSettings, options: LintOptions) -> LintSettings:
    """The settings with the rules that the command line names."""
    for name, codes in (("--select", options.select), ("--ignore", options.ignore)):
        for code in codes:
            if not any(rule.code.startswith(code) for rule in RULES):
                raise OptionError(
                    f'there is no rule "{code}"',
                    where=name,
                    remedy=suggestion(code, [rule.code for rule in RULES])
                    or "`tonnage rule` lists them.",
                )
    select = options.select or settings.select
    ignore = options.ignore if options.select else (*settings.ignore, *options.ignore)
    return replace(settings, select=select, ignore=ignore)


def _checked(checks: _Checks, answer: Answer) -> LintResult:
    """Check once; what the answer depends on, and what to say beside it, is added to it."""
    options, project, rules = checks.options, checks.project, checks.rules

    def work(reading: Reading) -> dict[str, Any]:
        judged = judge(reading, checks.context, rules)
        return {
            "findings": [as_data(each) for each in judged.findings],
            "used": [asdict(each) for each in judged.used_elsewhere],
            "tests": len(reading.tests),
            "files": sum(file.is_collected for file in reading.files),
            "silent": silent_rules(reading, rules) if options.explain else [],
        }

    checked = check_paths(
        checks.paths,
        project,
        work,
        jobs=options.jobs,
        cache=Path(checks.cache) if checks.cache else None,
    )
    shares = checked.results
    findings = without_used(
        (finding_from(data) for share in shares for data in share["findings"]),
        (IgnoredCode(**data) for share in shares for data in share["used"]),
    )
    findings += _elsewhere(checks, answer)
    answer.depends_on += checked.depends_on
    answer.is_lasting = answer.is_lasting and bool(shares)
    new, accepted = split(in_order(findings), checks.accepted)
    return LintResult(
        findings=new,
        accepted=accepted,
        tests=sum(share["tests"] for share in shares),
        files=sum(share["files"] for share in shares),
        silent=tuple(line for share in shares for line in share["silent"]),
    )


def _elsewhere(checks: _Checks, answer: Answer) -> list[Finding]:
    """The findings in Rust tests and launch scripts."""
    root, context, rules = checks.project.root, checks.context, checks.rules
    elsewhere = find_elsewhere(checks.paths, root)
    answer.depends_on += tuple(elsewhere.depends_on())
    findings = list(check_scripts(elsewhere, root, context, rules))
    try:
        findings += check_rust(elsewhere, root, context, rules)
    except RustReaderMissingError as error:
        answer.err += f"{error}\n"
        answer.is_lasting = False  # it may be installed before the next run
    return findings


def _formatted(result: LintResult, options: LintOptions, root: str, *, has_colour: bool) -> str:
    if options.format is Format.JSON:
        return as_json(result, root)
    if options.format is Format.SARIF:
        return sarif(result, root)
    if options.format is Format.JUNIT:
        from tonnage.lint.format_junit import junit  # the XML library's start

        return junit(result)
    # These name files for who reads them here.
    here = result.with_paths(_from_here(root))
    paint = coloured if has_colour else plain
    if options.format is Format.GITHUB:
        return github(here)
    if options.statistics:
        return statistics(here, paint)
    if options.format is Format.FULL:
        return full(here, _lines_of, paint)
    return concise(here, paint)


def _from_here(root: str) -> Callable[[str], str]:
    """Gives a path from the root as one from this directory."""
    directory = os.getcwd()
    if directory == root:
        return str
    return lambda path: os.path.relpath(os.path.join(root, path), directory)


def _lines_of(path: str) -> Sequence[str]:
    try:
        text = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return ()
    return text.decode("utf-8", "replace").splitlines()
