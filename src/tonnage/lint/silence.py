"""Where rules said nothing because a test may have marks that cannot be seen, and why."""

from collections.abc import Iterable, Sequence

from tonnage.lint.check import unknown_reasons
from tonnage.lint.model import DeclaredTest
from tonnage.lint.rule import Rule
from tonnage.lint.source import Reading
from tonnage.units import plural


def silent_rules(reading: Reading, rules: Sequence[Rule]) -> list[str]:
    """One line for each file, and for each set of rules and reasons in it."""
    alike: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for test in reading.tests:
        path, _, name = test.node_id.partition("::")
        for what, reasons in _silences(test, rules):
            alike.setdefault((path, what, reasons), []).append(name)
    lines = [
        f"{path}: {_named(names)}: {what}: {_in_short(reasons)}"
        for (path, what, reasons), names in alike.items()
    ]
    return lines + [
        f"{file.path}: may have more tests: {_in_short(file.unknown)}"
        for file in reading.files
        if file.is_collected and file.unknown
    ]


def _silences(test: DeclaredTest, rules: Sequence[Rule]) -> Iterable[tuple[str, tuple[str, ...]]]:
    """What is not said of a test, and why."""
    if test.unknown:
        codes = dict.fromkeys(code for code, _ in unknown_reasons(test, rules))
        if codes:
            yield f"not checked for {', '.join(codes)}", test.unknown
    for name, reason in test.possible:
        yield f"may have `{name}`, which is not missed", (reason,)
    if test.maybe:
        yield "may not be collected", test.maybe


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else plural(len(names), "test")


def _in_short(reasons: Sequence[str]) -> str:
    more = len(reasons) - 1
    return f"{reasons[0]} (and {more} more like it)" if more else reasons[0]
