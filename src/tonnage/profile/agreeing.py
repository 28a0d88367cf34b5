"""When one mark serves several tests, and what it then says. Pure."""

from collections.abc import Sequence

from tonnage.lint.edit_marks import MarkText
from tonnage.profile.recommend import RecommendedMark
from tonnage.profile.selection import SelectedTest
from tonnage.units import plural


def largest_of(marks: Sequence[RecommendedMark]) -> RecommendedMark | None:
    """The one that is enough for all, one that is there already before others; None: none is."""
    if len({mark.text for mark in marks}) > 1 and any(mark.stands_to is None for mark in marks):
        return None
    return max(marks, key=lambda mark: (mark.number or 0.0, mark.is_there))


def agreed(marks: Sequence[RecommendedMark]) -> RecommendedMark | None:
    """The largest, where it still fits what each of them was found to need; None otherwise."""
    largest = largest_of(marks)
    if largest is None or any(
        mark.text != largest.text
        and (mark.stands_to is None or (largest.number or 0.0) > mark.stands_to)
        for mark in marks
    ):
        return None
    return largest


def mark_text(mark: RecommendedMark, among: Sequence[RecommendedMark] = ()) -> MarkText:
    """The mark as it is to stand; `among` those that it is the largest of."""
    reason = mark.reason
    if len({each.text for each in among}) > 1:
        reason += f", the largest of {plural(len(among), 'test')}"
    return MarkText(mark.name, f"pytest.mark.{mark.text}", reason, mark.number)


def declared_number(test: SelectedTest, name: str) -> float | None:
    """The number that the closest mark of this name has on a test."""
    mark = next((mark for mark in test.marks if mark.name == name), None)
    values = [] if mark is None else [*mark.args, *mark.kwargs.values()]
    return values[0] if values and isinstance(values[0], (int, float)) else None
