"""One line a finding, `path:line:column: CODE message`, as editors and grep read it."""

from collections import Counter
from collections.abc import Iterable, Iterator

from tonnage.lint.colour import Paint, plain
from tonnage.lint.model import Finding, Severity
from tonnage.lint.result import LintResult
from tonnage.lint.rules import RULES
from tonnage.units import plural


def concise(result: LintResult, paint: Paint = plain) -> str:
    """The findings, a line each, and the summary."""
    lines = [headline(finding, paint) for finding in result.findings]
    return "\n".join([*lines, *closing(result, paint)]) + "\n"


def headline(finding: Finding, paint: Paint) -> str:
    """Place, code and message; the weight is said where it is not an error."""
    place = finding.place
    weight = finding.severity.value
    light = "" if finding.severity is Severity.ERROR else f" ({weight})"
    message = printable(" ".join(finding.message.split()))
    at = f"{paint('bold', printable(place.path))}:{place.line}:{place.column}:"
    return f"{at} {paint(weight, finding.code)} {message}{light}"


def printable(text: str) -> str:
    """The text without what a terminal would obey: a file name may hold anything."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def statistics(result: LintResult, paint: Paint = plain) -> str:
    """How many findings each rule has, a line each, and the summary."""
    rules = {rule.code: rule for rule in RULES}
    counts = result.by_code()
    width = max((len(str(count)) for _, count in counts), default=0)
    lines = [
        f"{count:>{width}}  {paint(rules[code].severity.value, code)} {rules[code].name}"
        f"{'  [fixable]' if rules[code].fixable else ''}"
        for code, count in counts
    ]
    return "\n".join([*lines, *closing(result, paint)]) + "\n"


def closing(result: LintResult, paint: Paint) -> Iterator[str]:
    """What was not judged, if asked for, and the summary."""
    yield from result.silent
    if result.fixed:
        yield f"Fixed {plural(result.fixed, 'finding')}."
    if not result.files and not result.findings:
        yield "No test files found."
        return
    seen = f"{plural(result.tests, 'test')} in {plural(result.files, 'file')}"
    accepted = f"; {result.accepted} accepted by the baseline" if result.accepted else ""
    if not result.findings:
        yield f"All checks passed: {seen}{accepted}"
        return
    weights = Counter(finding.severity for finding in result.findings)
    found = ", ".join(
        paint(severity.value, plural(weights[severity], severity.value))
        for severity in Severity
        if weights[severity]
    )
    yield f"Found {found}: {seen}{accepted}"
    if result.fixed is None:
        yield from _fixable(result.findings)


def _fixable(findings: Iterable[Finding]) -> Iterator[str]:
    with_edits = [finding.edits for finding in findings if finding.edits or finding.unused]
    safe = sum(all(edit.safe for edit in edits) for edits in with_edits)
    if safe:
        yield f"{safe} can be fixed with --fix."
    if unsafe := len(with_edits) - safe:
        yield f"{unsafe} can be fixed with --fix --unsafe-fixes."
