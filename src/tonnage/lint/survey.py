"""The suite by its markers: how many tests of which lifecycle, type, hardware and component.

A test is counted once in each row that it belongs to. Most belong to one; a parametrised test
whose cases carry marks of their own may belong to several.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tonnage.errors import MarkerError
from tonnage.lint.declared import sets_of_marks
from tonnage.lint.model import DeclaredTest, PlacedMark
from tonnage.markers.requirement import Requirement, requirement_of
from tonnage.markers.vocabulary import Category, Marker, Vocabulary
from tonnage.units import mib_from_gib

# What one row says of one category: its markers in table order, none of them, or, as None, that
# this depends on running the code.
Cell = tuple[str, ...] | None
Row = tuple[Cell, ...]

REQUIRED = (Category.LIFECYCLE, Category.TYPE, Category.HARDWARE)
_COLUMNS = (*REQUIRED, Category.COMPONENT)

# The upper ends of the histogram's bins: small needs by doubling, then the sizes of cards.
VRAM_BOUNDS_GIB = (0, 1, 2, 4, 8, 16, 24, 32, 48, 80)


@dataclass(frozen=True, slots=True)
class SurveyedTest:
    """What counts of one test: the rows it belongs to, and what of its declaration is missing.

    `path` and `line` are those of its `def`. `vram_mib`: the VRAM that its variations on GPUs
    declare, None for one that declares nothing; `is_vram_unclear`: of some it cannot be told.
    """

    node_id: str
    path: str
    line: int
    rows: tuple[Row, ...]
    vram_mib: tuple[int | None, ...] = ()
    is_vram_unclear: bool = False
    missing: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """This test as JSON can say it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class VramBin:
    """Tests that declare more than `above_mib` and at most `up_to_mib`; None: no such end."""

    above_mib: int | None
    up_to_mib: int | None
    tests: int


@dataclass(frozen=True, slots=True)
class VramUse:
    """What the tests that use GPUs declare of their VRAM, each card's."""

    gpu_tests: int
    bins: tuple[VramBin, ...]
    undeclared: int
    unclear: int


@dataclass(frozen=True, slots=True)
class Survey:
    """A suite in figures. `columns` are the categories; each row of `rows` has a cell for each.

    `by_category` has the same tests counted by one category alone. `incomplete` are the tests that
    lack a marker of a required category. `notes` say what could not be read, one line each.
    """

    tests: int
    files: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Row, int], ...]
    by_category: Mapping[str, tuple[tuple[Cell, int], ...]]
    vram: VramUse
    incomplete: tuple[SurveyedTest, ...]
    notes: tuple[str, ...] = ()


def columns_of(vocabulary: Vocabulary) -> tuple[Category, ...]:
    """The categories to tabulate: those with markers, and hardware, which `needs` says too."""
    return tuple(
        category
        for category in _COLUMNS
        if category is Category.HARDWARE or vocabulary.of(category)
    )


def surveyed(test: DeclaredTest, vocabulary: Vocabulary) -> SurveyedTest:
    """What counts of a declared test."""
    columns = columns_of(vocabulary)
    variations = _variations(test, columns, vocabulary)
    rows = tuple(dict.fromkeys(row for row, _ in variations))
    needed = [_gpu_need(marks, vocabulary) for _, marks in variations]
    missing = [
        category.value
        for at, category in enumerate(columns)
        if category in REQUIRED and vocabulary.of(category) and any(row[at] == () for row in rows)
    ]
    return SurveyedTest(
        node_id=test.node_id,
        path=test.place.path,
        line=test.place.line,
        rows=rows,
        vram_mib=tuple(dict.fromkeys(need.vram_mib for need in needed if need and need.gpus)),
        is_vram_unclear=None in needed,
        missing=tuple(missing),
    )


def surveyed_from_data(data: Mapping[str, Any]) -> SurveyedTest:
    """The test that `as_data` gave, after JSON made lists of its tuples."""
    rows = tuple(
        tuple(None if cell is None else tuple(cell) for cell in row) for row in data["rows"]
    )
    lists = {"vram_mib": tuple(data["vram_mib"]), "missing": tuple(data["missing"])}
    return SurveyedTest(**{**data, **lists, "rows": rows})


def survey_of(
    tests: Sequence[SurveyedTest], vocabulary: Vocabulary, notes: Iterable[str] = ()
) -> Survey:
    """The figures of these tests. Rows are in the order of the vocabulary, the unclear last."""
    columns = columns_of(vocabulary)
    places = {marker.name: place for place, marker in enumerate(vocabulary.markers)}

    def by_table(cell: Cell) -> tuple[int, list[int]]:
        # A count that no marker of the table has, such as needs(gpus=3), comes after those.
        order = [places.get(name, len(places)) for name in cell or ()]
        return 2 if cell is None else 0 if cell else 1, order

    rows = Counter(row for test in tests for row in test.rows)
    by_category = {
        category.value: Counter(cell for test in tests for cell in {row[at] for row in test.rows})
        for at, category in enumerate(columns)
    }
    return Survey(
        tests=len(tests),
        files=len({test.node_id.partition("::")[0] for test in tests}),
        columns=tuple(category.value for category in columns),
        rows=tuple(sorted(rows.items(), key=lambda item: [by_table(cell) for cell in item[0]])),
        by_category={
            name: tuple(sorted(counts.items(), key=lambda item: by_table(item[0])))
            for name, counts in by_category.items()
        },
        vram=_vram_use(tests),
        incomplete=tuple(test for test in tests if test.missing),
        notes=tuple(notes),
    )


def _variations(
    test: DeclaredTest, columns: Sequence[Category], vocabulary: Vocabulary
) -> list[tuple[Row, tuple[PlacedMark, ...]]]:
    """The test without a marked case and with each, as rows with their marks.

    Where cases say what the test itself leaves open, every case is taken to be marked: the test
    without one is then none that runs.
    """
    found = [
        (tuple(_cell(test, marks, category, vocabulary) for category in columns), marks)
        for marks in sets_of_marks(test)
    ]
    (plain, _), *cases = found
    says_more = any(
        category in REQUIRED and plain[at] == () and any(row[at] for row, _ in cases)
        for at, category in enumerate(columns)
    )
    return cases if says_more else found


def _cell(
    test: DeclaredTest, marks: Sequence[PlacedMark], category: Category, vocabulary: Vocabulary
) -> Cell:
    markers = [
        marker
        for name in {mark.value.name for mark in marks}
        if (marker := vocabulary.get(name)) is not None and marker.category is category
    ]
    if len(markers) > 1:
        markers.sort(key=vocabulary.markers.index)
    found = tuple(marker.name for marker in markers)
    if category is Category.HARDWARE and all(marker.gpu_count is None for marker in markers):
        counted = _count_of_needs(marks, vocabulary)
        if counted is None:
            return None
        found = (*counted, *found)
    if found:
        return found
    may_have = [vocabulary.get(name) for name, _ in test.possible]
    if test.unknown or any(marker and marker.category is category for marker in may_have):
        return None
    return ()


def _count_of_needs(marks: Sequence[PlacedMark], vocabulary: Vocabulary) -> Cell:
    """The marker that means as many GPUs as `needs` says."""
    needs = vocabulary.name_of("needs")
    for mark in marks:
        if mark.value.name == needs and "gpus" in mark.value.kwargs:
            gpus = mark.value.kwargs["gpus"]
            return (vocabulary.name_of(f"gpu_{gpus}"),) if isinstance(gpus, int) else None
    return ()


def _gpu_need(marks: Sequence[PlacedMark], vocabulary: Vocabulary) -> Requirement | None:
    """What a variation needs of GPUs; None where its marks are wrong or not written out."""
    values = [mark.value for mark in marks]
    told = [value for value in values if _is_about_gpus(vocabulary.get(value.name))]
    if not told:
        return _NO_NEED
    try:
        return requirement_of(told, vocabulary)
    except MarkerError:
        return None


_NO_NEED = Requirement()


def _is_about_gpus(marker: Marker | None) -> bool:
    return marker is not None and (
        marker.category in (Category.HARDWARE, Category.VRAM) or marker.meaning == "needs"
    )


def _vram_use(tests: Sequence[SurveyedTest]) -> VramUse:
    bounds = [mib_from_gib(gib) for gib in VRAM_BOUNDS_GIB]
    counts: Counter[int] = Counter()
    for test in tests:
        counts.update({bisect_left(bounds, mib) for mib in test.vram_mib if mib is not None})
    # Empty bins between others are part of the picture, those at the ends are not.
    shown = range(min(counts), max(counts) + 1) if counts else ()
    return VramUse(
        gpu_tests=sum(bool(test.vram_mib) or test.is_vram_unclear for test in tests),
        bins=tuple(
            VramBin(
                above_mib=bounds[at - 1] if at else None,
                up_to_mib=bounds[at] if at < len(bounds) else None,
                tests=counts[at],
            )
            for at in shown
        ),
        undeclared=sum(None in test.vram_mib for test in tests),
        unclear=sum(test.is_vram_unclear for test in tests),
    )
