"""`--marker-policy`: the rules of lint at collection, on the marks that the tests really have.

The process that collects does the checking: this one, an xdist worker, or the zygote of a packed
run. What it finds is shown once, in the session of the user.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import pytest

from tonnage.config import load_settings
from tonnage.execute.settled import SAID
from tonnage.lint.check import check_tests, selected_rules
from tonnage.lint.context import context_of
from tonnage.lint.model import DeclaredTest, Finding, Level, Place, PlacedMark, Severity
from tonnage.markers.marks import MarkValue
from tonnage.units import plural

_SHOWN = 20
_KEY = "marker policy"  # in SAID, and in what an xdist worker puts out


class PolicyPlugin:
    """Checks what was collected. Strict: what is wrong is an error of the collection."""

    def __init__(self, config: pytest.Config, *, strict: bool) -> None:
        settings = load_settings(config.rootpath)
        self._config = config
        self._strict = strict
        self._rules = [rule for rule in selected_rules(settings.lint) if rule.of_test]
        self._context = context_of(
            settings,
            today=date.today(),  # noqa: DTZ011 - a quarantine ends where its people live
            registered=_registered(config),
            default_timeout_s=_default_timeout_s(config),
            xfail_strict=bool(config.getini("xfail_strict")),
        )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        findings = [
            finding
            for finding in check_tests(list(declared_tests(items)), self._context, self._rules)
            if finding.severity is not Severity.INFO
        ]
        if self._strict:
            self._refuse(findings)
            if findings and hasattr(self._config, "workerinput"):
                items.clear()  # xdist would run them beside the error
            return
        said = [
            [finding.code, finding.severity.value, finding.message, finding.test]
            for finding in findings
        ]
        self._config.stash.setdefault(SAID, {})[_KEY] = said
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_KEY] = said

    def _refuse(self, findings: Sequence[Finding]) -> None:
        """Have pytest end before any test, as it does for a file that cannot be imported."""
        for path in dict.fromkeys(finding.test.partition("::")[0] for finding in findings):
            lines = [
                _sentences(f"{finding.test}: {finding.code} {finding.message}", finding.remedy)
                for finding in findings
                if finding.test.startswith(f"{path}::")
            ]
            report = pytest.CollectReport(path, "failed", "\n".join(lines), [])
            self._config.hook.pytest_collectreport(report=report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        said = (getattr(node, "workeroutput", None) or {}).get(_KEY)
        if said is not None:
            self._config.stash.setdefault(SAID, {})[_KEY] = said

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        said = self._config.stash.get(SAID, {}).get(_KEY)
        if said:
            terminalreporter.section("marker policy")
            for line in _summary_lines(said, is_verbose=self._config.option.verbose > 0):
                terminalreporter.write_line(line)


def declared_tests(items: Iterable[pytest.Item]) -> Iterator[DeclaredTest]:
    """The collected test functions as the rules see them: one for each set of parameters."""
    for item in items:
        if isinstance(item, pytest.Function):
            path, line, _ = item.location
            yield DeclaredTest(
                node_id=f"{item.nodeid.removesuffix(item.name)}{item.originalname}",
                place=Place(path.replace("\\", "/"), (line or 0) + 1),
                name=item.originalname,
                class_path=tuple(item.nodeid.split("::")[1:-1]),
                marks=tuple(_placed_marks(item)),
            )


def _placed_marks(item: pytest.Function) -> Iterator[PlacedMark]:
    of_case = item.callspec.marks if hasattr(item, "callspec") else []
    for node, mark in item.iter_markers_with_node():
        level = Level.ELSEWHERE
        if node is item:
            level = Level.CASE if any(mark is each for each in of_case) else Level.TEST
        elif isinstance(node, pytest.Class):
            level = Level.CLASS
        elif isinstance(node, pytest.Module):
            level = Level.MODULE
        yield PlacedMark(MarkValue(mark.name, mark.args, mark.kwargs), level)


def _sentences(message: str, remedy: str) -> str:
    stop = "" if message.endswith("?") or not remedy else "."
    return f"{message}{stop} {remedy}".rstrip()


def _summary_lines(said: Sequence[Sequence[str]], *, is_verbose: bool) -> Iterator[str]:
    """The counts, and each finding below its rule."""
    weights = Counter(weight for _, weight, _, _ in said)
    counts = (plural(weights[weight], weight) for weight in ("error", "warning") if weights[weight])
    yield f"{', '.join(counts)}; `tonnage rule CODE` explains one"
    by_message: dict[tuple[str, str], list[str]] = {}
    for code, _, message, test in said:
        by_message.setdefault((code, message), []).append(test)
    for (code, message), tests in sorted(by_message.items()):
        yield f"{code} {message}: {plural(len(tests), 'test')}"
        shown = tests if is_verbose else tests[:_SHOWN]
        yield from (f"  {test}" for test in shown)
        if len(shown) < len(tests):
            yield f"  and {len(tests) - len(shown)} more, which -v shows"


def _registered(config: pytest.Config) -> frozenset[str]:
    lines = config.getini("markers")
    return frozenset(line.split(":")[0].split("(")[0].strip() for line in lines)


def _default_timeout_s(config: pytest.Config) -> float | None:
    """The limit that pytest-timeout gives every test, if it does."""
    given = getattr(config.option, "timeout", None)
    try:
        return float(given if given is not None else config.getini("timeout")) or None
    except (ValueError, TypeError, KeyError):  # no such option: the plugin is not there
        return None
