"""What the conftest files around a test give it: fixtures, marks by hooks, paths left out."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from tonnage.lint.evaluate import Evaluator
from tonnage.lint.known import Listed, OneOf, Plain
from tonnage.lint.marking import NOTHING, Marker, Marking
from tonnage.lint.model import Level
from tonnage.lint.outline import Function, Import
from tonnage.lint.tree import Module, Tree


@dataclass(frozen=True, slots=True)
class Hooked:
    """A mark that a hook gives to the tests below `directory` (as in node ids, "" for the root)."""

    marking: Marking
    parts: tuple[str, ...]
    doubt: str


@dataclass(frozen=True, slots=True)
class Around:
    """What holds in one directory. `modules`: conftests and their plugins, nearest first."""

    modules: tuple[Module, ...] = ()
    hooked: tuple[Hooked, ...] = ()
    maybe: tuple[str, ...] = ()


class Conftests:
    """Finds what holds in a directory, each once."""

    def __init__(self, root: str, tree: Tree, evaluator: Evaluator, marker: Marker) -> None:
        self._root = root
        self._tree = tree
        self._evaluator = evaluator
        self._marker = marker
        self._around: dict[str, Around] = {}

    def around(self, directory: str) -> Around:
        """What holds for the tests in a directory (absolute)."""
        if directory not in self._around:
            self._around[directory] = self._read(directory)
        return self._around[directory]

    def left_out(self, directory: str) -> tuple[list[str], list[str]] | None:
        """The paths and globs, absolute, that the conftest here leaves out; None: it says none."""
        module = self._conftest(directory)
        names = () if module is None else module.scope.names
        if module is None or not {"collect_ignore", "collect_ignore_glob"}.intersection(names):
            return None
        return (
            [os.path.join(directory, text) for text in self._texts(module, "collect_ignore")],
            [os.path.join(directory, text) for text in self._texts(module, "collect_ignore_glob")],
        )

    def _texts(self, module: Module, name: str) -> list[str]:
        """The texts that a list is sure to hold."""
        bounds = module.scope.names.get(name, ())
        known = self._evaluator.bound(bounds, module) if bounds else None
        if isinstance(known, OneOf):
            known = known.options[0]
        if isinstance(known, Plain):
            value = known.value
            return (
                [text for text in value if isinstance(text, str)]
                if isinstance(value, tuple)
                else []
            )
        if isinstance(known, Listed):
            values = [item.value for item in known.items if isinstance(item, Plain)]
            return [value for value in values if isinstance(value, str)]
        return []

    def _conftest(self, directory: str) -> Module | None:
        path = os.path.join(directory, "conftest.py")
        return self._tree.module(path) if os.path.isfile(path) else None

    def _read(self, directory: str) -> Around:
        is_below_root = len(directory) > len(self._root) and directory.startswith(self._root)
        above = self.around(os.path.dirname(directory)) if is_below_root else Around()
        conftest = self._conftest(directory)
        if conftest is None:
            return above
        modules = [conftest, *self._plugins(conftest)]
        hooked = [hook for module in modules for hook in self._hooked(module)]
        maybe = [
            f"{module.shown} has a hook that may leave files out"
            for module in modules
            if "pytest_ignore_collect" in module.scope.names
        ]
        maybe += [
            f"{name} in {conftest.shown} depends on a condition"
            for name in ("collect_ignore", "collect_ignore_glob")
            if len(conftest.scope.names.get(name, ())) > 1
        ]
        return Around((*modules, *above.modules), (*hooked, *above.hooked), (*maybe, *above.maybe))

    def _plugins(self, conftest: Module) -> Iterator[Module]:
        """The modules of the tree that `pytest_plugins` names."""
        for name in self._texts(conftest, "pytest_plugins"):
            module = self._tree.imported(conftest, Import(name))
            if module is not None:
                yield module

    def _hooked(self, module: Module) -> Iterator[Hooked]:
        for hook in module.outline.hooks:
            known = self._evaluator.of(hook.mark, module)
            marking = self._marker.marking(known, Level.ELSEWHERE)
            yield Hooked(marking, hook.parts, f"{module.shown}: {hook.doubt}" if hook.doubt else "")
        for bound in module.scope.names.get("pytest_generate_tests", ()):
            if isinstance(bound.meaning, Function) and bound.meaning.speaks_of_marks:
                reason = f"pytest_generate_tests in {module.shown} may bring marks"
                yield Hooked(Marking(unknown=(reason,)), (), "")


def given_by_hooks(around: Around, node_id: str) -> Marking:
    """The marks that hooks give to one test."""
    marking = NOTHING
    for hook in around.hooked:
        if not all(part in node_id for part in hook.parts):
            continue
        if hook.doubt:
            names = tuple((mark.value.name, hook.doubt) for mark in hook.marking.marks)
            marking = marking + Marking((), (), names + hook.marking.possible, hook.marking.unknown)
        else:
            marking = marking + hook.marking
    return marking
