"""Checking what was read, or collected, against the rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tonnage.config import LintSettings
from tonnage.errors import ConfigError, suggestion
from tonnage.lint.context import Context
from tonnage.lint.declared import own_path
from tonnage.lint.model import DeclaredTest, Finding, Level, Place, PlacedMark, Severity
from tonnage.lint.registered import registered_around
from tonnage.lint.rule import Found, Rule
from tonnage.lint.rules import RULES
from tonnage.lint.source import Reading, SourceFile


def selected_rules(settings: LintSettings) -> tuple[Rule, ...]:
    """The rules that the settings select, by code. Raises ConfigError for a code of no rule."""
    codes = [rule.code for rule in RULES]
    named = {"select": settings.select, "ignore": settings.ignore, "severity": settings.severity}
    for key, prefixes in named.items():
        for prefix in prefixes:
            if not any(code.startswith(prefix) for code in codes):
                raise ConfigError(
                    f'there is no rule "{prefix}"',
                    where=f"[tool.tonnage.lint] {key}",
                    remedy=suggestion(prefix, codes) or "`tonnage rule` lists them.",
                )
    return tuple(
        rule
        for rule in RULES
        if rule.code.startswith(settings.select) and not rule.code.startswith(settings.ignore)
    )


def check(reading: Reading, context: Context, selected: Iterable[Rule]) -> tuple[Finding, ...]:
    """The findings in some files, by place; those silenced by a comment are left out."""
    rules = tuple(selected)
    known = context.registered | registered_around(reading.files)
    context = replace(context, registered=known)
    by_file: dict[str, list[DeclaredTest]] = {}
    for test in reading.tests:
        by_file.setdefault(own_path(test), []).append(test)
    findings: list[Finding] = []
    for file in reading.files:
        tests = by_file.get(file.path, [])
        findings += _of_tests(tests, context, rules)
        findings += _of_file(file, tests, context, rules)
    ignores = {file.path: file.ignores for file in reading.files if file.ignores}
    if ignores:
        lines = {test.node_id: _lines_of(test) for test in reading.tests}
        findings = [
            finding
            for finding in findings
            if not _is_ignored(finding, lines.get(finding.test, ()), ignores)
        ]
    return in_order(findings)


def check_tests(
    tests: Sequence[DeclaredTest], context: Context, selected: Iterable[Rule]
) -> tuple[Finding, ...]:
    """The findings about tests alone, as at collection, where no file has been read."""
    return in_order(_of_tests(tests, context, tuple(selected)))


def unknown_reasons(test: DeclaredTest, selected: Iterable[Rule]) -> tuple[tuple[str, str], ...]:
    """The rules that are silent about a test because of marks it may have, each with the reason."""
    return tuple(
        (rule.code, reason) for rule in selected if rule.needs_all_marks for reason in test.unknown
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings by place and code; what is said twice of one place is said once."""
    once: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        once.setdefault((finding.code, finding.place, finding.message), finding)
    return tuple(
        sorted(
            once.values(),
            key=lambda found: (
                found.place.path,
                found.place.line,
                found.place.column,
                found.code,
                found.message,
            ),
        )
    )


def finding_of(rule: Rule, found: Found, context: Context, test: DeclaredTest | None) -> Finding:
    """What a rule found, with its code and weight."""
    place = found.place or (test.place if test else None)
    assert place is not None, f"{rule.code} names no place"
    return Finding(
        code=rule.code,
        message=found.message,
        place=place,
        severity=Severity(context.settings.severity.get(rule.code, rule.severity)),
        test=test.node_id if test else "",
        remedy=found.remedy,
        edits=found.edits,
    )


def _of_tests(
    tests: Sequence[DeclaredTest], context: Context, rules: Sequence[Rule]
) -> list[Finding]:
    """Most tests of a file have the same marks as the one before: those are looked at once."""
    alike = [rule for rule in rules if rule.of_test and not rule.reads_history]
    by_history = [rule for rule in rules if rule.of_test and rule.reads_history]
    broken: dict[object, list[Rule]] = {}
    findings: list[Finding] = []
    for test in tests:
        key = _marks_key(test)
        if key is None or key not in broken:
            kept = [rule for rule in alike if _breaks(rule, test, context, findings)]
            if key is not None:
                broken[key] = kept
        else:
            for rule in broken[key]:
                _breaks(rule, test, context, findings)
        if context.durations_s:
            for rule in by_history:
                _breaks(rule, test, context, findings)
    return findings


def _breaks(rule: Rule, test: DeclaredTest, context: Context, findings: list[Finding]) -> bool:
    """Whether a test breaks a rule; what it breaks is added to the findings."""
    if rule.needs_all_marks and test.unknown:
        return False
    assert rule.of_test is not None
    before = len(findings)
    findings.extend(finding_of(rule, found, context, test) for found in rule.of_test(test, context))
    return len(findings) > before


def _marks_key(test: DeclaredTest) -> object:
    """What tests that are alike to the rules have in common; None where that cannot be said."""
    try:
        key = (
            own_path(test),
            tuple([_mark_key(mark) for mark in test.marks]),
            tuple([tuple([_mark_key(mark) for mark in case.marks]) for case in test.cases]),
            test.possible,
            bool(test.unknown),
        )
        hash(key)
    except TypeError:  # a list among the arguments
        return None
    return key


def _mark_key(mark: PlacedMark) -> object:
    value = mark.value
    if value.name == "parametrize":
        return value.name
    return value.name, mark.level, value.args, tuple(value.kwargs.items())


def _of_file(
    file: SourceFile, tests: Sequence[DeclaredTest], context: Context, rules: Sequence[Rule]
) -> list[Finding]:
    return [
        finding_of(rule, found, context, None)
        for rule in rules
        if rule.of_file
        for found in rule.of_file(file, tests, context)
    ]


def _lines_of(test: DeclaredTest) -> tuple[Place, ...]:
    """The places whose comments speak for all findings about a test: its `def`, its decorators."""
    marks = (mark.place for mark in test.marks if mark.level is Level.TEST and mark.place)
    return (test.place, *marks)


def _is_ignored(
    finding: Finding,
    places: Iterable[Place],
    ignores: Mapping[str, Mapping[int, frozenset[str]]],
) -> bool:
    for place in (finding.place, *places):
        codes = ignores.get(place.path, {}).get(place.line)
        if codes is not None and (not codes or finding.code in codes):
            return True
    return False
