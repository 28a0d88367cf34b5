"""From recommendations to changes of marks in the source. Pure but for the editor it calls.

Where a mark goes, closest first: into the `pytest.param` of a case, or onto the function. A mark on
the function outweighs one on a case, so a value that the function declares is changed there, and
then for all its cases: it is the largest of theirs, and is lowered only when all were profiled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tonnage.lint.edit_marks import MarkChange, MarkText
from tonnage.profile.recommend import Recommendation, RecommendedMark
from tonnage.profile.selection import SelectedTest


@dataclass(frozen=True, slots=True)
class Advised:
    """One profiled test and the markers advised for it."""

    test: SelectedTest
    recommendation: Recommendation


def changes_by_file(advised: Sequence[Advised]) -> dict[Path, list[MarkChange]]:
    """The changes that write what is not there yet, by file; empty when all is there."""
    functions: dict[tuple[Path, tuple[str, ...]], list[Advised]] = {}
    for each in advised:
        functions.setdefault((each.test.path, each.test.target), []).append(each)
    found: dict[Path, list[MarkChange]] = {}
    for (path, _), cases in functions.items():
        if changes := _of_function(cases):
            found.setdefault(path, []).extend(changes)
    return found


def _of_function(cases: Sequence[Advised]) -> list[MarkChange]:
    test = cases[0].test
    on_function: list[MarkText] = []
    on_cases: dict[str, list[MarkText]] = {}
    names = dict.fromkeys(
        mark.name for each in cases for mark in each.recommendation.marks if not mark.is_there
    )
    for name in names:
        marks = [_named(each, name) for each in cases]
        known = [mark for mark in marks if mark is not None]
        is_complete = len(known) == test.cases
        if name in test.own:
            on_function += _in_place_of_declared(test, known, is_complete)
        elif test.case is None or (is_complete and len({mark.text for mark in known}) == 1):
            on_function.append(_text(known[0]))
        else:
            for each, mark in zip(cases, marks, strict=True):
                if mark is not None and not mark.is_there and each.test.case is not None:
                    on_cases.setdefault(each.test.case, []).append(_text(mark))
    changes = [MarkChange(test.target, set=tuple(on_function))] if on_function else []
    changes += [
        MarkChange(test.target, set=tuple(marks), case=case) for case, marks in on_cases.items()
    ]
    return changes


def _in_place_of_declared(
    test: SelectedTest, known: Sequence[RecommendedMark], is_complete: bool
) -> list[MarkText]:
    """The mark that replaces the function's own for all its cases, or none."""
    largest = max(known, key=lambda mark: (mark.number or 0.0, mark.is_there))
    if largest.is_there:
        return []
    declared = next(mark for mark in test.marks if mark.name == largest.name)
    values = [*declared.args, *declared.kwargs.values()]
    is_lower = (
        largest.number is not None
        and bool(values)
        and isinstance(values[0], (int, float))
        and largest.number < values[0]
    )
    return [] if is_lower and not is_complete else [_text(largest)]


def _named(each: Advised, name: str) -> RecommendedMark | None:
    return next((mark for mark in each.recommendation.marks if mark.name == name), None)


def _text(mark: RecommendedMark) -> MarkText:
    return MarkText(mark.name, f"pytest.mark.{mark.text}", mark.reason)
