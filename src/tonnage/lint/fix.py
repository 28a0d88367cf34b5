"""What `tonnage lint --fix` does with the findings that have a fix: one round of it.

The edits of a finding are made all or none. A finding whose edits touch a mark that another one
changes in the same round waits: the files are checked again after each round.
"""

import difflib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage.lint.edit_marks import (
    TABLE_ORDER,
    MarkChange,
    MarkText,
    Unplaced,
    plan_edits,
    require_editor,
)
from tonnage.lint.edit_spelling import meaning_of, name_of
from tonnage.lint.ignore_text import without
from tonnage.lint.model import Edit, Finding, IgnoredCode
from tonnage.lint.source_files import SourceText, read_source, write_source

_Refused = dict[tuple[str, MarkChange], Unplaced]


@dataclass(frozen=True, slots=True)
class Unfixed:
    """A finding whose fix cannot be placed, the line in its file (from 1) and why."""

    finding: Finding
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class FixPlan:
    """What one round does: the new text of each file that changes, and the fate of each finding.

    `fixed` come true with the new texts; `waiting` may in the next round; `unsafe` are left out
    because they may change what a test does.
    """

    texts: Mapping[str, str]
    fixed: tuple[Finding, ...] = ()
    waiting: tuple[Finding, ...] = ()
    unsafe: tuple[Finding, ...] = ()
    unplaced: tuple[Unfixed, ...] = ()


@dataclass(frozen=True, slots=True)
class FixedFile:
    """A file that changes: its path from the root, where it lies, its text before and after."""

    path: str
    file: Path
    before: SourceText
    after: str


@dataclass(frozen=True, slots=True)
class FixOutcome:
    """A FixPlan with the files that it changes; none is written yet."""

    files: tuple[FixedFile, ...]
    fixed: tuple[Finding, ...]
    waiting: tuple[Finding, ...]
    unsafe: tuple[Finding, ...]
    unplaced: tuple[Unfixed, ...]


def fixes(
    findings: Sequence[Finding],
    texts: Mapping[str, str],
    *,
    unsafe: bool = False,
    order: Sequence[str] = TABLE_ORDER,
) -> FixPlan:
    """What one round does to these `texts`, by path. Pure. Raises EditorMissingError."""
    chosen: list[Finding] = []
    waiting: list[Finding] = []
    left_out: list[Finding] = []
    made: dict[tuple[str, tuple[str, ...]], list[Edit]] = {}
    for finding in findings:
        if not (finding.edits or finding.unused):
            continue
        # Safe or not, an edit that is there twice is one edit.
        wanted = [replace(edit, safe=True) for edit in finding.edits]
        if not unsafe and not all(edit.safe for edit in finding.edits):
            left_out.append(finding)
        elif any(
            _conflict(new, old) for new in wanted for old in made.get((new.path, new.target), ())
        ):
            waiting.append(finding)
        else:
            chosen.append(finding)
            for edit in wanted:
                made.setdefault((edit.path, edit.target), []).append(edit)
    cleared, missing = _cleared([each.unused for each in chosen if each.unused], texts)
    unplaced = [
        Unfixed(each, each.place.line, "the comment is not there")
        for each in chosen
        if each.unused in missing
    ]
    chosen = [each for each in chosen if each.unused not in missing]
    while True:
        changed, refused = _edited(chosen, cleared, order)
        fates = [(finding, _unfixed(finding, refused)) for finding in chosen]
        chosen = [finding for finding, fate in fates if fate is None]
        unplaced += [fate for _, fate in fates if fate is not None]
        if not refused:
            break
    after = {**cleared, **changed}
    changed = {path: text for path, text in after.items() if text != texts[path]}
    return FixPlan(changed, tuple(chosen), tuple(waiting), tuple(left_out), tuple(unplaced))


def plan_fixes(
    findings: Sequence[Finding],
    root: Path,
    *,
    unsafe: bool = False,
    order: Sequence[str] = TABLE_ORDER,
) -> FixOutcome:
    """What one round does to the files under `root`, which are read and not written.

    Raises EditorMissingError when there is anything to edit, SourceFileError.
    """
    paths = {e.path for f in findings for e in f.edits if unsafe or all(x.safe for x in f.edits)}
    if paths:
        require_editor()
    paths |= {finding.unused.path for finding in findings if finding.unused}
    sources = {path: read_source(root / path) for path in sorted(paths)}
    texts = {path: source.text for path, source in sources.items()}
    plan = fixes(findings, texts, unsafe=unsafe, order=order)
    files = tuple(
        FixedFile(path, root / path, sources[path], text) for path, text in plan.texts.items()
    )
    return FixOutcome(files, plan.fixed, plan.waiting, plan.unsafe, plan.unplaced)


def write_fixes(outcome: FixOutcome) -> None:
    """Write the files, each whole or not at all. Raises SourceFileError."""
    for fixed in outcome.files:
        write_source(fixed.file, fixed.before, fixed.after)


def difference(outcome: FixOutcome, shown: Callable[[str], str] = str) -> str:
    """The changes as a unified diff; `shown` gives a path from the root as it is to be shown."""
    lines: list[str] = []
    for fixed in outcome.files:
        name = shown(fixed.path)
        lines += difflib.unified_diff(
            _lines(fixed.before.text), _lines(fixed.after), f"a/{name}", f"b/{name}", lineterm=""
        )
    return "".join(f"{line}\n" for line in lines)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _cleared(
    unused: Iterable[IgnoredCode], texts: Mapping[str, str]
) -> tuple[dict[str, str], set[IgnoredCode]]:
    """The texts without these codes, and those of them that are not there.

    Marks are found by name afterwards: it does not matter to them that lines have moved.
    """
    lines = {path: io.StringIO(text, newline="").readlines() for path, text in texts.items()}
    missing: set[IgnoredCode] = set()
    # From the end, so that the places of those before stay as they are.
    for each in sorted(unused, key=lambda one: (one.line, one.column), reverse=True):
        of_file = lines[each.path]
        line = of_file[each.line - 1].rstrip("\r\n") if each.line <= len(of_file) else ""
        left = without(line, each.column, each.code)
        if left is None:
            missing.add(each)
        else:
            ending = of_file[each.line - 1][len(line) :]
            of_file[each.line - 1] = left + ending if left else ""
    return {path: "".join(of_file) for path, of_file in lines.items()}, missing


def _conflict(one: Edit, other: Edit) -> bool:
    """Whether one edit removes a mark that another of the same test removes or adds."""
    if one == other:
        return False
    gone, gone_there = _meanings(one.remove), _meanings(other.remove)
    return bool(gone & gone_there or gone & _meanings(other.add) or gone_there & _meanings(one.add))


def _meanings(expressions: Iterable[str]) -> set[str]:
    return {meaning_of(expression) for expression in expressions}


def _edited(
    findings: Iterable[Finding], texts: Mapping[str, str], order: Sequence[str]
) -> tuple[dict[str, str], _Refused]:
    """The texts that change, and what had no place or nothing to do."""
    by_path: dict[str, dict[MarkChange, None]] = {}
    for finding in findings:
        for edit in finding.edits:
            by_path.setdefault(edit.path, {})[_change(edit)] = None
    changed: dict[str, str] = {}
    refused: _Refused = {}
    for path, changes in by_path.items():
        # What is only added finds its place best where the others are sorted already.
        ordered = sorted(changes, key=lambda change: not change.remove)
        result = plan_edits(texts[path], ordered, order)
        if result.source != texts[path]:
            changed[path] = result.source
        for each in (*result.unplaced, *result.idle):
            refused[path, each.change] = each
    return changed, refused


def _unfixed(finding: Finding, refused: _Refused) -> Unfixed | None:
    for edit in finding.edits:
        if (unplaced := refused.get((edit.path, _change(edit)))) is not None:
            return Unfixed(finding, unplaced.line, unplaced.reason)
    return None


def _change(edit: Edit) -> MarkChange:
    return MarkChange(
        edit.target,
        remove=edit.remove,
        add=tuple(MarkText(name_of(text), text) for text in edit.add),
    )
