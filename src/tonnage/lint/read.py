"""The static reading: from paths to the tests that pytest would collect there, and their marks.

Reads each file once and imports none. A test file is outlined (`outlining`); names are followed
across files (`tree`, `evaluate`); then its tests are found as pytest finds them (`collecting`).
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tonnage.lint.collecting import Collecting
from tonnage.lint.discover import Found, LeftOut, find_files
from tonnage.lint.facts import FileFacts
from tonnage.lint.model import DeclaredTest, Place
from tonnage.lint.outlines import Outlines
from tonnage.lint.project import Project
from tonnage.lint.source import Problem, Reading, SourceFile
from tonnage.lint.tree import Module, Tree


def read_paths(paths: Sequence[Path], project: Project) -> Reading:
    """What pytest would collect from these files and directories.

    A file that cannot be read is in `files` with its problem. Paths that do not exist are the
    caller's to refuse.
    """
    reader = Reader(project)
    return reader.read(reader.find(paths))


class Reader:
    """Reads files of one project. Modules that several files import are read once."""

    def __init__(self, project: Project, outlines: Outlines | None = None) -> None:
        self.outlines = outlines or Outlines()
        self._project = project
        roots = [project.root / path for path in (*project.pythonpath, "src", "lib")]
        self._tree = Tree(project.root, roots, self.outlines.of)
        self._collecting = Collecting(project, self._tree)
        self._visited: list[str] = []

    def find(self, paths: Sequence[Path]) -> list[Found]:
        """The files below these paths that are worth reading."""
        files, visited = find_files(paths, self._project, self._left_out)
        self._visited += visited
        return files

    def depends_on(self) -> list[str]:
        """Every file and directory whose change may change what was found and read so far."""
        directories = {os.path.dirname(path) for path in self.outlines.read}
        around = {
            str(parent)
            for directory in directories
            for parent in Path(directory).parents
            if parent.is_relative_to(self._project.root)
        }
        return sorted(
            {*self._visited, *self.outlines.read, *self._tree.listed, *directories, *around}
        )

    def read(self, files: Iterable[Found]) -> Reading:
        """Read these files."""
        sources: list[SourceFile] = []
        tests: list[DeclaredTest] = []
        for found in files:
            source, its_tests = self._read(found)
            sources.append(source)
            tests.extend(its_tests)
        return Reading(tuple(sources), tuple(tests), self._tree.ignores())

    def _left_out(self, directory: str) -> LeftOut | None:
        return self._collecting.conftests.left_out(directory)

    def _read(self, found: Found) -> tuple[SourceFile, list[DeclaredTest]]:
        module = self._tree.module(found.path)
        if module is None:
            shown = os.path.relpath(found.path, self._project.root).replace(os.sep, "/")
            problem = Problem(self.outlines.why_unreadable(found.path), Place(shown, 1))
            return SourceFile(shown, Path(found.path), found.is_collected, (problem,)), []
        outline = module.outline
        if outline.fault is not None:
            reason, at = outline.fault
            problem = Problem(reason, Place(module.shown, *at))
            return self._source(module, found, (problem,)), []
        tests, unknown = self._collecting.tests_of(module)
        source = self._source(module, found, (), tuple(unknown))
        if not found.is_collected:
            return replace(source, hidden_tests=len(tests)), []
        return source, tests

    def _source(
        self,
        module: Module,
        found: Found,
        problems: tuple[Problem, ...],
        unknown: tuple[str, ...] = (),
    ) -> SourceFile:
        return SourceFile(
            module.shown,
            Path(module.path),
            found.is_collected,
            problems,
            _placed(module.outline.facts, module.shown),
            unknown,
            self.outlines.hash_of(module.path),
        )


def _placed(facts: FileFacts, path: str) -> FileFacts:
    """The facts with the path that the outline, which knows the content alone, leaves open."""
    if not (facts.calls or facts.texts or facts.ports or facts.environment):
        return facts
    return FileFacts(
        tuple(replace(fact, place=replace(fact.place, path=path)) for fact in facts.calls),
        tuple(replace(fact, place=replace(fact.place, path=path)) for fact in facts.texts),
        tuple(replace(fact, place=replace(fact.place, path=path)) for fact in facts.ports),
        tuple(replace(fact, place=replace(fact.place, path=path)) for fact in facts.environment),
    )
