"""Checking what was read, or collected, against the rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tonnage.config import LintSettings
from tonnage.errors import ConfigError, suggestion
from tonnage.lint.context import Context
from tonnage.lint.declared import own_path
from tonnage.lint.ignoring import Ignoring
from tonnage.lint.model import DeclaredTest, Finding, IgnoredCode, PlacedMark, Severity
from tonnage.lint.registered import registered_around
from tonnage.lint.rule import Found, Rule
from tonnage.lint.rules import RULES
from tonnage.lint.rules.reading import UNUSED
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


@dataclass(frozen=True, slots=True)
class Judged:
    """The findings in some files, and the comments in other files that have silenced some."""

    findings: tuple[Finding, ...]
    used_elsewhere: tuple[IgnoredCode, ...] = ()


def check(reading: Reading, context: Context, selected: Iterable[Rule]) -> tuple[Finding, ...]:
    """The findings in all files of a suite, by place; without those silenced by a comment."""
    return judge(reading, context, selected).findings


def judge(reading: Reading, context: Context, selected: Iterable[Rule]) -> Judged:
    """The findings in some files of a suite, by place; without those silenced by a comment.

    A comment may silence what is found in files read elsewhere: `without_used` is for that.
    """
    rules = tuple(selected)
    known = context.registered | registered_around(reading.files)
    context = replace(context, registered=known)
    by_file: dict[str, list[DeclaredTest]] = {}
    for test in reading.tests:
        by_file.setdefault(own_path(test), []).append(test)
    findings: list[Finding] = []
    checker = _Checker(context, rules)
    for file in reading.files:
        tests = by_file.get(file.path, [])
        findings += checker.of_tests(tests)
        findings += _of_file(file, tests, context, rules)
    if not reading.ignores:
        return Judged(in_order(findings))
    ignoring = Ignoring(reading)
    findings = [finding for finding in findings if not ignoring.silences(finding)]
    if UNUSED in rules:
        findings += [
            finding_of(UNUSED, found, context, None) for found in ignoring.unused(rules, context)
        ]
    return Judged(in_order(findings), ignoring.used_elsewhere())


def without_used(findings: Iterable[Finding], used: Iterable[IgnoredCode]) -> list[Finding]:
    """The findings without those about comments that have silenced something after all."""
    known = set(used)
    return [finding for finding in findings if finding.unused not in known]


def check_tests(
    tests: Sequence[DeclaredTest], context: Context, selected: Iterable[Rule]
) -> tuple[Finding, ...]:
    """The findings about tests alone, as at collection, where no file has been read."""
    return in_order(_Checker(context, tuple(selected)).of_tests(tests))


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
        unused=found.unused,
    )


class _Checker:
    """Checks tests, those that are alike to a rule once: most tests of a suite are."""

    def __init__(self, context: Context, rules: Sequence[Rule]) -> None:
        self._context = context
        of_test = [rule for rule in rules if rule.of_test]
        self._by_marks = [r for r in of_test if not (r.reads_place or r.reads_history)]
        self._by_place = [rule for rule in of_test if rule.reads_place]
        self._by_history = [rule for rule in of_test if rule.reads_history]
        self._broken: dict[object, list[Rule]] = {}

    def of_tests(self, tests: Sequence[DeclaredTest]) -> list[Finding]:
        findings: list[Finding] = []
        for test in tests:
            self._those_broken(_marks_key(test), self._by_marks, test, findings)
            self._those_broken(_place_key(test), self._by_place, test, findings)
            if self._context.durations_s:
                self._those_broken(None, self._by_history, test, findings)
        return findings

    def _those_broken(
        self, key: object, rules: list[Rule], test: DeclaredTest, findings: list[Finding]
    ) -> None:
        """Check a test against the rules, or against those that one alike to it broke."""
        known = self._broken.get(key, rules)
        broken = [rule for rule in known if self._breaks(rule, test, findings)]
        if key is not None:
            self._broken.setdefault(key, broken)

    def _breaks(self, rule: Rule, test: DeclaredTest, findings: list[Finding]) -> bool:
        """Whether a test breaks a rule; what it breaks is added to the findings."""
        if rule.needs_all_marks and test.unknown:
            return False
        assert rule.of_test is not None
        before = len(findings)
        findings.extend(
            finding_of(rule, found, self._context, test)
            for found in rule.of_test(test, self._context)
        )
        return len(findings) > before


def _marks_key(test: DeclaredTest) -> object:
    """What tests that are alike by their marks have in common; None where that cannot be said."""
    key = (
        tuple([_mark_key(mark) for mark in test.marks]),
        tuple([tuple([_mark_key(mark) for mark in case.marks]) for case in test.cases]),
        test.possible,
        bool(test.unknown),
    )
    try:
        hash(key)
    except TypeError:  # a list among the arguments
        return None
    return key


def _mark_key(mark: PlacedMark) -> object:
    value = mark.value
    if value.name == "parametrize":
        return value.name
    if not value.args and not value.kwargs:
        return value.name, mark.level
    given = (*value.args, *value.kwargs.values())
    # The types too: True equals 1, and is no number of GiB.
    return value.name, mark.level, tuple(value.kwargs), given, tuple(map(type, given))


def _place_key(test: DeclaredTest) -> object:
    return own_path(test), tuple([mark.value.name for mark in test.marks])


def _of_file(
    file: SourceFile, tests: Sequence[DeclaredTest], context: Context, rules: Sequence[Rule]
) -> list[Finding]:
    return [
        finding_of(rule, found, context, None)
        for rule in rules
        if rule.of_file
        for found in rule.of_file(file, tests, context)
    ]
