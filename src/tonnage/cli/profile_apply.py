"""`tonnage profile --apply` and `--diff`: the advised markers, written or shown."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tonnage.lint.edit_marks import EditResult
from tonnage.lint.source_files import read_source, write_source
from tonnage.markers.vocabulary import Vocabulary
from tonnage.profile.apply import Advised, incomplete_files, with_markers
from tonnage.profile.findings import Profiled
from tonnage.profile.selection import Standing


def apply_markers(
    found: Sequence[Profiled],
    files: Mapping[Path, Sequence[Standing]],
    vocabulary: Vocabulary,
    *,
    writes: bool,
    say: Callable[[str], None],
) -> None:
    """Write the markers into the test files, or only show the difference.

    `files` are all tests of each file. What cannot be placed is said with its file and line.
    """
    advised = [
        Advised(each.test, each.recommendation) for each in found if each.recommendation is not None
    ]
    if not advised:
        say("There is nothing to write: no markers are advised.")
        return
    is_silent = True
    for path, wanted in incomplete_files(advised).items():
        source = read_source(path)
        edited = with_markers(source.text, wanted, files[path], vocabulary.known())
        is_silent &= edited.source == source.text and not edited.unplaced
        if writes and edited.source != source.text:
            write_source(path, source, edited.source)
            say(f"written: {_shown(path)}")
        elif not writes:
            for line in _difference(source.text, edited, _shown(path)):
                say(line)
        now = edited.source if writes else source.text
        for note in edited.notes:
            place = f"{_shown(path)}:{_moved(note.line, source.text, now)}"
            say(f"{place}: {note.message}")
        for unplaced in edited.unplaced:
            place = f"{_shown(path)}:{_moved(unplaced.line, source.text, now)}"
            say(f"WARNING: {place}: not placed: {unplaced.reason}")
            for line in unplaced.text.splitlines():
                say(f"    {line}")
    if is_silent:
        say("The markers are all there already.")


def _difference(before: str, edited: EditResult, name: str) -> list[str]:
    lines = difflib.unified_diff(
        before.splitlines(), edited.source.splitlines(), f"a/{name}", f"b/{name}", lineterm=""
    )
    return list(lines)


def _moved(line: int, before: str, now: str) -> int:
    """Where a line of the text stands now; where it stood when it is no longer there."""
    lines = difflib.SequenceMatcher(None, before.splitlines(), now.splitlines(), autojunk=False)
    for block in lines.get_matching_blocks():
        if block.a < line <= block.a + block.size:
            return line - block.a + block.b
    return line


def _shown(path: Path) -> str:
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
