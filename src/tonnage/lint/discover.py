"""The files below some paths that pytest would collect, in its order.

Follows pytest's own walk: `norecursedirs`, `--ignore`, `collect_ignore` of conftests, virtual
environments, `python_files`. Paths are text and each directory is listed once, for speed.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tonnage.lint.project import Project

# Names that look as if they were meant for tests, whether pytest's patterns match them or not.
_MEANT_FOR_TESTS = re.compile(r"tests?(?![a-z]).*\.py|.*(?<![a-z])tests?\.py", re.IGNORECASE)

LeftOut = tuple[list[str], list[str]]
"""Paths and globs, absolute, that a conftest leaves out."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and whether pytest collects it by its name."""

    path: str
    is_collected: bool


def find_files(
    paths: Sequence[Path], project: Project, left_out: Callable[[str], LeftOut | None]
) -> tuple[list[Found], list[str]]:
    """The files to read, and the directories and files that this depends on.

    `left_out`: what the conftest in a directory says, None if nothing. A file that is named itself
    is looked at whatever is ignored.
    """
    walk = _Walk(project, left_out)
    found: dict[str, Found] = {}
    for path in paths:
        text = os.path.abspath(path)
        files = walk.below(text, walk.outside(text)) if os.path.isdir(text) else walk.file(text)
        for file in files:
            found.setdefault(file.path, file)
    return list(found.values()), walk.visited


class _Walk:
    def __init__(self, project: Project, left_out: Callable[[str], LeftOut | None]) -> None:
        self._root = str(project.root)
        self._project = project
        self._left_out = left_out
        self.visited: list[str] = []
        self._ignored_paths = {str(path) for path in project.ignore}

    def outside(self, directory: str) -> LeftOut:
        """What the conftests above a directory leave out: the nearest that says so counts."""
        left_out: LeftOut = ([], [])
        for parent in reversed(Path(directory).parents):
            if len(str(parent)) >= len(self._root):
                left_out = self._left_out(str(parent)) or left_out
        return left_out

    def below(self, directory: str, left_out: LeftOut) -> Iterator[Found]:
        """The files in a directory and its directories."""
        self.visited.append(directory)
        left_out = self._left_out(directory) or left_out
        try:
            with os.scandir(directory) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            path = entry.path
            if _is_directory(entry):
                is_loop = entry.is_symlink() and _is_within(directory, os.path.realpath(path))
                if not is_loop and not self._is_skipped(path, entry.name, left_out):
                    yield from self.below(path, left_out)
            elif entry.name.endswith(".py") and not self._is_ignored(path, left_out):
                yield from self.file(path)

    def file(self, path: str) -> Iterator[Found]:
        """A file, where its name is one of a test file or looks as if it were meant to be."""
        is_collected = path.endswith(".py") and any(
            _matches(pattern, path) for pattern in self._project.python_files
        )
        name = os.path.basename(path)
        if is_collected or (name != "conftest.py" and _MEANT_FOR_TESTS.fullmatch(name)):
            yield Found(path, is_collected)

    def _is_skipped(self, path: str, name: str, left_out: LeftOut) -> bool:
        if name == "__pycache__" or self._is_ignored(path, left_out):
            return True
        if not self._project.collects_in_virtualenv and _is_virtualenv(path):
            self.visited.append(os.path.join(path, "pyvenv.cfg"))
            return True
        return any(_matches(pattern, path) for pattern in self._project.norecursedirs)

    def _is_ignored(self, path: str, left_out: LeftOut) -> bool:
        if path in self._ignored_paths or path in left_out[0]:
            return True
        globs: Iterable[str] = (*self._project.ignore_globs, *left_out[1])
        return any(fnmatch.fnmatch(path, glob) for glob in globs)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_within(path: str, directory: str) -> bool:
    real = os.path.realpath(path)
    return real == directory or real.startswith(directory + os.sep)


def _is_virtualenv(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "pyvenv.cfg")) or os.path.isfile(
        os.path.join(path, "conda-meta", "history")
    )


def _matches(pattern: str, path: str) -> bool:
    """pytest's rule: a pattern without a slash is for the name, else for the end of the path."""
    if os.sep not in pattern:
        return fnmatch.fnmatchcase(os.path.basename(path), pattern)
    if not os.path.isabs(pattern):
        pattern = f"*{os.sep}{pattern}"
    return fnmatch.fnmatchcase(path, pattern)
