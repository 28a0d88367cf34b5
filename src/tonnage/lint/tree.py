"""The files of a project as modules: where an import leads, and what a module's names are."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tonnage.lint.outline import Bind, Ignore, Import, ImportAll, Outline, Value
from tonnage.lint.scopes import Scope, scope_of

# Imports of these are not looked for; `test` is a name that projects use too.
_STANDARD = frozenset(sys.stdlib_module_names) - {"test"} | {"pytest", "_pytest"}

OutlineOf = Callable[[str], Outline]
"""The outline of the file at an absolute path; raises OSError where it cannot be read."""


class Module:
    """One file as a module. `path` is absolute, `shown` as in node ids."""

    __slots__ = ("_scope", "_tree", "meanings", "outline", "path", "shown")

    def __init__(self, path: str, shown: str, outline: Outline, tree: "Tree") -> None:
        self.path = path
        self.shown = shown
        self.outline = outline
        self.meanings: dict[str, object] = {}  # what evaluation has found out already
        self._tree = tree
        self._scope: Scope | None = None

    @property
    def scope(self) -> Scope:
        """Its names. Modules that import * from one another see what is there so far."""
        if self._scope is None:
            self._scope = Scope()
            self._scope = scope_of(
                self.outline.body, lambda statement: self._tree.exports(self, statement)
            )
        return self._scope


class Tree:
    """The modules below a root, read when they are asked for.

    `import_roots` are directories that imports start from, besides those around the importing file.
    """

    def __init__(self, root: Path, import_roots: Sequence[Path], outline_of: OutlineOf) -> None:
        self._root = str(root)
        self._import_roots = [str(path) for path in import_roots]
        self._outline_of = outline_of
        self._modules: dict[str, Module | None] = {}
        self._listings: dict[str, frozenset[str]] = {}
        self._found: dict[tuple[str, str], str | None] = {}

    @property
    def listed(self) -> list[str]:
        """The directories that were looked into."""
        return list(self._listings)

    def ignores(self) -> dict[str, tuple[Ignore, ...]]:
        """The ignore comments of all modules read so far, by path as in node ids."""
        modules = [module for module in self._modules.values() if module is not None]
        return {one.shown: one.outline.ignores for one in modules if one.outline.ignores}

    def module(self, path: str) -> Module | None:
        """The module of a file; None where it cannot be read."""
        if path not in self._modules:
            try:
                shown = os.path.relpath(path, self._root).replace(os.sep, "/")
                self._modules[path] = Module(path, shown, self._outline_of(path), self)
            except OSError:
                self._modules[path] = None
        return self._modules[path]

    def imported(self, importer: Module, named: Import) -> Module | None:
        """The module that an import names, without its attribute; None: not in the tree."""
        if named.level:
            base = importer.path
            for _ in range(named.level):
                base = os.path.dirname(base)
            path = self._below(base, named.module)
        else:
            path = self._absolute(os.path.dirname(importer.path), named.module)
        return None if path is None else self.module(path)

    def submodule(self, package: Module, name: str) -> Module | None:
        """`name` in a package's directory."""
        directory, file = os.path.split(package.path)
        if file != "__init__.py":
            return None
        path = self._below(directory, name)
        return None if path is None else self.module(path)

    def exports(self, importer: Module, statement: ImportAll) -> list[Bind] | None:
        """What `from module import *` binds in the importer."""
        module = self.imported(importer, Import(statement.module, "", statement.level))
        if module is None or module.outline.fault is not None:
            return None
        scope = module.scope
        listed = self._listed(scope)
        names = [name for name in scope.names if not name.startswith("_")]
        return [
            Bind(name, Import(statement.module, name, statement.level), statement.when)
            for name in (names if listed is None else listed)
        ]

    def _listed(self, scope: Scope) -> tuple[str, ...] | None:
        """The names in `__all__` where it is written out."""
        bound = scope.names.get("__all__")
        meaning = bound[-1].meaning if bound else None
        if isinstance(meaning, Value) and isinstance(meaning.value, tuple):
            return tuple(name for name in meaning.value if isinstance(name, str))
        return None

    def _absolute(self, directory: str, module: str) -> str | None:
        key = (directory, module)
        if key not in self._found:
            self._found[key] = self._search(directory, module)
        return self._found[key]

    def _search(self, directory: str, module: str) -> str | None:
        """From the directories around the importing file that are no packages, then the roots."""
        if module.partition(".")[0] in _STANDARD:
            return None
        around = [directory]
        # A package that reaches above the root is imported from where it begins.
        while len(around[-1]) > len(self._root) or "__init__.py" in self._listing(around[-1]):
            around.append(os.path.dirname(around[-1]))
        bases = [base for base in around if "__init__.py" not in self._listing(base)]
        for base in (*bases, *self._import_roots):
            path = self._below(base, module)
            if path is not None:
                return path
        return None

    def _below(self, base: str, module: str) -> str | None:
        """The file of a module in a directory: `a/b.py` or `a/b/__init__.py`."""
        *packages, name = module.split(".") if module else ["__init__"]
        for package in packages:
            if package not in self._listing(base):
                return None
            base = os.path.join(base, package)
        if f"{name}.py" in self._listing(base) and name != "":
            is_package = name in self._listing(base) and "__init__.py" in self._listing(
                os.path.join(base, name)
            )
            if not is_package:
                return os.path.join(base, f"{name}.py")
        if name in self._listing(base):
            directory = os.path.join(base, name)
            if "__init__.py" in self._listing(directory):
                return os.path.join(directory, "__init__.py")
        return None

    def _listing(self, directory: str) -> frozenset[str]:
        if directory not in self._listings:
            try:
                self._listings[directory] = frozenset(os.listdir(directory))
            except OSError:
                self._listings[directory] = frozenset()
        return self._listings[directory]
