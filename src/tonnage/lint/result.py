"""What one run of lint gave, as the output formats take it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from tonnage.lint.model import Finding, Severity


@dataclass(frozen=True, slots=True)
class LintResult:
    """The findings by place, and how much was looked at.

    `tests` and `files`: so many tests were seen, in so many files that pytest collects. `accepted`:
    findings left out because the baseline has them. `fixed`: findings there were before they were
    fixed, None where nothing was to be. `silent`: where rules could not judge, and why, if that was
    asked for.
    """

    findings: tuple[Finding, ...] = ()
    tests: int = 0
    files: int = 0
    accepted: int = 0
    fixed: int | None = None
    silent: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The exit code: 1 where there is an error or a warning, else 0."""
        return int(any(finding.severity is not Severity.INFO for finding in self.findings))

    def by_code(self) -> list[tuple[str, int]]:
        """How many findings each rule has, most first."""
        counts = Counter(finding.code for finding in self.findings)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def with_paths(self, shown: Callable[[str], str]) -> "LintResult":
        """The same with each path as `shown` gives it."""
        moved = tuple(
            replace(finding, place=replace(finding.place, path=shown(finding.place.path)))
            for finding in self.findings
        )
        return replace(self, findings=moved)
