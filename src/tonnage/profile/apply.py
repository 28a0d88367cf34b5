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
    on_function: list[MarkText] = []
    on_cases: dict[str, list[MarkText]] = {}
    names = dict.fromkeys(
        mark.name for each in cases for mark in each.recommendation.marks if not mark.is_there
    )
    for name in names:
        marks = [_named(each, name) for each in cases]
        if shared := _for_all(name, cases, marks):
            on_function.append(_text(shared))
            continue
        for each, mark in zip(cases, marks, strict=True):
            if mark is not None and not mark.is_there and each.test.case is not None:
                on_cases.setdefault(each.test.case, []).append(_text(mark))
    target = cases[0].test.target
    changes = [MarkChange(target, set=tuple(on_function))] if on_function else []
    changes += [MarkChange(target, set=tuple(set_), case=case) for case, set_ in on_cases.items()]
    return changes


def _for_all(
    name: str, cases: Sequence[Advised], marks: Sequence[RecommendedMark | None]
) -> RecommendedMark | None:
    """The mark that is to stand on the function; None where it belongs on cases, or nowhere."""
    test = cases[0].test
    known = [mark for mark in marks if mark is not None]
    is_complete = len(known) == test.cases
    largest = max(known, key=lambda mark: (mark.number or 0.0, not mark.is_there))
    if name in test.own:
        declared = [
            value
            for mark in test.marks
            if mark.name == name
            for value in (*mark.args, *mark.kwargs.values())
        ][:1]
        is_lower = (
            largest.number is not None
            and declared
            and isinstance(declared[0], (int, float))
            and largest.number < declared[0]
        )
        return None if largest.is_there or (is_lower and not is_complete) else largest
    if test.case is None or (is_complete and len({mark.text for mark in known}) == 1):
        return largest
    return None


def _named(each: Advised, name: str) -> RecommendedMark | None:
    return next((mark for mark in each.recommendation.marks if mark.name == name), None)


def _text(mark: RecommendedMark) -> MarkText:
    return MarkText(mark.name, f"pytest.mark.{mark.text}", mark.reason)
