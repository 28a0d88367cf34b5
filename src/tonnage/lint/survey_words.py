"""How the figures of a survey are called, in text and in HTML alike."""

from collections.abc import Iterable

from tonnage.lint.survey import Cell, Survey, SurveyedTest, VramBin
from tonnage.units import MIB_PER_GIB, plural

UNCLEAR = "unclear"
UNCLEAR_MEANS = (
    f"{UNCLEAR}: depends on running the code; `tonnage lint --list-tests --format json` says why."
)


def cell_text(cell: Cell) -> str:
    """`gpu_1 + h100`; `none` for no marker of the category."""
    if cell is None:
        return UNCLEAR
    return " + ".join(cell) or "none"


def bin_text(vram: VramBin) -> str:
    """`0`, `up to 1`, `above 4 to 8`, `above 80`: GiB."""
    above, up_to = (
        None if mib is None else f"{mib / MIB_PER_GIB:g}"
        for mib in (vram.above_mib, vram.up_to_mib)
    )
    if up_to is None:
        return f"above {above}"
    if above is None:
        return up_to
    return f"up to {up_to}" if above == "0" else f"above {above} to {up_to}"


def vram_rows(survey: Survey) -> list[tuple[str, int]]:
    """The histogram's lines: a label and a number of tests each."""
    use = survey.vram
    rows = [(f"{bin_text(each)} GiB", each.tests) for each in use.bins]
    rows += [("not declared", use.undeclared)] if use.undeclared else []
    return rows + ([(UNCLEAR, use.unclear)] if use.unclear else [])


def has_unclear(survey: Survey) -> bool:
    """Whether anything in the tables is unclear."""
    return bool(survey.vram.unclear) or any(None in row for row, _ in survey.rows)


def headline(survey: Survey) -> str:
    """One sentence on the whole suite."""
    if not survey.tests:
        return "no tests found"
    lacking = len(survey.incomplete)
    declared = f"{lacking} not fully declared" if lacking else "all fully declared"
    return f"{plural(survey.tests, 'test')} in {plural(survey.files, 'file')}, {declared}"


def by_file(tests: Iterable[SurveyedTest]) -> dict[str, list[SurveyedTest]]:
    """The tests by the file that pytest collects them from, the files with the most first."""
    found: dict[str, list[SurveyedTest]] = {}
    for test in tests:
        found.setdefault(test.node_id.partition("::")[0], []).append(test)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def missing_text(tests: Iterable[SurveyedTest]) -> str:
    """The categories that any of these tests lacks."""
    return ", ".join(dict.fromkeys(name for test in tests for name in test.missing))
