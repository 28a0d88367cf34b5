"""From recommendations to changes of marks in a source file.

A mark that is there already is changed where it stands. On a function or case it counts for all
tests that share it: it becomes the largest of what they need, and is lowered only when all of them
were profiled. One of a class or file is changed so when it fits none of its tests; otherwise those
that need more get a mark of their own, which goes before it.

A mark that is not there yet goes onto the function where its cases agree, else onto the cases. Of
a test that several parametrisations multiply, a case can only hold what one of them decides alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage.lint.edit_marks import EditResult, MarkChange, MarkText, Unplaced, plan_edits
from tonnage.profile.agreeing import agreed, declared_number, largest_of, mark_text
from tonnage.profile.recommend import Recommendation, RecommendedMark
from tonnage.profile.selection import Holder, SelectedTest, Standing

_Site = tuple[tuple[str, ...], str | None]
"""A target, and the id of one of its cases."""


@dataclass(frozen=True, slots=True)
class Advised:
    """One profiled test and the markers advised for it."""

    test: SelectedTest
    recommendation: Recommendation


def incomplete_files(advised: Sequence[Advised]) -> dict[Path, list[Advised]]:
    """What is advised for each file, without files that have it all."""
    found: dict[Path, list[Advised]] = {}
    for each in advised:
        found.setdefault(each.test.path, []).append(each)
    return {
        path: tests
        for path, tests in found.items()
        if any(not mark.is_there for each in tests for mark in each.recommendation.marks)
    }


def with_markers(
    source: str, advised: Sequence[Advised], tests: Sequence[Standing], order: Sequence[str]
) -> EditResult:
    """The text of a file with what is not there yet of the markers advised for its tests.

    `tests` are all tests of the file, `order` the names of markers in the order of a new one.
    Raises EditorMissingError.
    """
    # Marks of a class or file that are not written out there cannot be changed there.
    unwritten: set[tuple[Holder, str]] = set()
    while True:
        changes, unplaced = _planned(advised, tests, unwritten)
        result = plan_edits(source, changes, order)
        refused = {
            (each.change.target, mark.name)
            for each in result.unplaced
            if each.change.in_place
            for mark in each.change.set
        }
        if not refused:
            return replace(result, unplaced=(*unplaced, *result.unplaced))
        unwritten |= refused


def _planned(
    advised: Sequence[Advised],
    tests: Sequence[Standing],
    unwritten: set[tuple[Holder, str]],
) -> tuple[list[MarkChange], list[Unplaced]]:
    """The changes for the tests of one file, and what has no place."""
    names = dict.fromkeys(
        mark.name for each in advised for mark in each.recommendation.marks if not mark.is_there
    )
    shared: list[MarkChange] = []
    own: dict[_Site, list[MarkText]] = {}
    unplaced: list[Unplaced] = []
    for name in names:
        placing = _Placing(name, advised, tests, unwritten)
        placing.place()
        shared += [
            MarkChange(target, set=(text,), in_place=True) for target, text in placing.shared
        ]
        for site, text in placing.own.items():
            own.setdefault(site, []).append(text)
        unplaced += placing.unplaced
    changes = [
        MarkChange(target, set=tuple(set_), case=case) for (target, case), set_ in own.items()
    ]
    return [*shared, *changes], unplaced


class _Placing:
    """Finds the places for the marks of one name.

    `shared` are those of classes (by their path) and the file, `own` those of functions and cases.
    """

    def __init__(
        self,
        name: str,
        advised: Sequence[Advised],
        tests: Sequence[Standing],
        unwritten: set[tuple[Holder, str]],
    ) -> None:
        self.shared: list[tuple[tuple[str, ...], MarkText]] = []
        self.own: dict[_Site, MarkText] = {}
        self.unplaced: list[Unplaced] = []
        self._name = name
        self._tests = tests
        self._unwritten = unwritten
        self._lines = {each.test.standing.key: each.test.line for each in advised}
        self._marks: dict[object, RecommendedMark] = {}
        self._declared: dict[object, float] = {}
        for each in advised:
            key = each.test.standing.key
            for mark in each.recommendation.marks:
                if mark.name == name:
                    self._marks[key] = mark
            if (number := declared_number(each.test, name)) is not None:
                self._declared[key] = number

    def place(self) -> None:
        """Find them all."""
        homeless: list[Standing] = []
        for holder, sharers in self._by_holder():
            wanting = [test for test in sharers if self._wants([test])]
            if not wanting:
                continue
            if isinstance(holder, int):
                self._on_held_case(sharers)
            elif holder == sharers[0].target:
                if (mark := self._for_all(sharers)) is not None:
                    self.own[holder, None] = mark
            elif holder is not None and (largest := self._largest_at(holder, sharers)) is not None:
                if len(wanting) == len(sharers):
                    self.shared.append((holder, mark_text(largest, self._known(sharers))))
                else:
                    homeless += [test for test in wanting if self._lacks(test)]
            else:
                homeless += wanting
        for target in dict.fromkeys(test.target for test in homeless):
            self._on_function_or_cases([test for test in self._tests if test.target == target])

    def _by_holder(self) -> Iterator[tuple[Holder, list[Standing]]]:
        """What carries the mark, and the tests that share it there."""
        groups: dict[object, tuple[Holder, list[Standing]]] = {}
        for test in self._tests:
            holder = test.holders.get(self._name)
            # One mark may also be given to several cases by a name of its own.
            case = test.ids if isinstance(holder, int) and len(test.ids) == 1 else ()
            groups.setdefault((holder, case), (holder, []))[1].append(test)
        yield from groups.values()

    def _known(self, tests: Sequence[Standing]) -> list[RecommendedMark]:
        return [self._marks[test.key] for test in tests if test.key in self._marks]

    def _is_complete(self, tests: Sequence[Standing]) -> bool:
        """Whether all of them were profiled."""
        return all(test.key in self._marks for test in tests)

    def _wants(self, tests: Sequence[Standing]) -> bool:
        return any(not mark.is_there for mark in self._known(tests))

    def _lacks(self, test: Standing) -> bool:
        """Whether it needs more than is declared for it."""
        number = self._marks[test.key].number
        return number is None or number > self._declared.get(test.key, 0.0)

    def _largest_at(
        self, holder: tuple[str, ...], sharers: Sequence[Standing]
    ) -> RecommendedMark | None:
        """What the mark of a class or file could become; None where it cannot be changed."""
        if not self._is_complete(sharers) or (holder, self._name) in self._unwritten:
            return None
        return largest_of(self._known(sharers))

    def _for_all(self, sharers: Sequence[Standing]) -> MarkText | None:
        """What is to stand where all of them share it; None: what stands there, or no one mark."""
        marks = self._known(sharers)
        largest = largest_of(marks)
        if largest is None:
            self._refuse(sharers, "they share a mark, and need ones that cannot be compared")
            return None
        declared = max(
            (self._declared[test.key] for test in sharers if test.key in self._declared),
            default=None,
        )
        is_lower = declared is not None and (largest.number or 0.0) < declared
        if largest.is_there or (is_lower and not self._is_complete(sharers)):
            return None
        return mark_text(largest, marks)

    def _on_held_case(self, sharers: Sequence[Standing]) -> None:
        """Change a mark that a case has already."""
        axes = range(len(sharers[0].ids))
        same = [axis for axis in axes if len({test.ids[axis] for test in sharers}) == 1]
        if len(same) != 1:
            self._refuse(sharers, "it is not known which of the parametrisations has the mark")
        elif (mark := self._for_all(sharers)) is not None:
            for test in sharers:
                self.own[test.target, test.ids[same[0]]] = mark

    def _on_function_or_cases(self, cases: Sequence[Standing]) -> None:
        marks = self._known(cases)
        is_complete = self._is_complete(cases)
        on_cases = any(isinstance(test.holders.get(self._name), int) for test in cases)
        if is_complete and not on_cases and (largest := agreed(marks)) is not None:
            self.own[cases[0].target, None] = mark_text(largest, marks)
        elif all(len(test.ids) == 1 for test in cases):
            for test in cases:
                if self._wants([test]):
                    self.own[test.target, test.ids[0]] = mark_text(self._marks[test.key])
        elif not is_complete:
            self._refuse(cases, "not all combinations of its parametrisations were profiled")
        elif (by_id := self._on_one_axis(cases)) is None:
            self._refuse(cases, "none of its parametrisations decides this alone")
        else:
            for case, marks in by_id.items():
                if any(not mark.is_there for mark in marks):
                    largest = agreed(marks)
                    assert largest is not None
                    self.own[cases[0].target, case] = mark_text(largest, marks)

    def _on_one_axis(self, cases: Sequence[Standing]) -> dict[str, list[RecommendedMark]] | None:
        """The marks by the ids of the parametrisation that decides them; None: there is none."""
        for axis in range(min(len(test.ids) for test in cases)):
            by_id: dict[str, list[RecommendedMark]] = {}
            for test in cases:
                by_id.setdefault(test.ids[axis], []).append(self._marks[test.key])
            elsewhere = {each for test in cases for at, each in enumerate(test.ids) if at != axis}
            is_alone = all(agreed(marks) is not None for marks in by_id.values())
            if is_alone and not by_id.keys() & elsewhere:
                return by_id
        return None

    def _refuse(self, tests: Sequence[Standing], reason: str) -> None:
        for test in tests:
            if self._wants([test]):
                case = "-".join(test.ids) or None
                change = MarkChange(test.target, set=(mark_text(self._marks[test.key]),), case=case)
                words = reason if case is None else f"the case [{case}]: {reason}"
                self.unplaced.append(Unplaced(change, self._lines[test.key], words, change.wanted))
