"""The tests of one file: what pytest's Module, Class and UnitTestCase collectors would find.

Follows `_pytest/python.py` and `_pytest/unittest.py` of pytest 8 and 9, name by name.
"""

import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tonnage.lint.classes import has_own_init, is_abstract, lineage_layers, members_of
from tonnage.lint.conftests import Around, Conftests, given_by_hooks
from tonnage.lint.evaluate import Evaluator
from tonnage.lint.fixtures import Fixtures, Layer, requested_by
from tonnage.lint.inherit import Lineage, Lineages
from tonnage.lint.known import Known, OneOf, Outside, Plain, TheClass, TheFunction, Unknown
from tonnage.lint.marking import NOTHING, Marker, Marking
from tonnage.lint.model import DeclaredTest, Level, Place
from tonnage.lint.outline import Class, Function, Import, Meaning
from tonnage.lint.project import Project
from tonnage.lint.scopes import Bound, Scope
from tonnage.lint.tree import Module, Tree

# An imported name that has none of these in it is taken for no class of tests.
_LIKE_TESTS = ("test", "case", "suite", "spec", "check")


@dataclass(frozen=True, slots=True)
class _Holder:
    """The module or class whose tests are collected, with what they get from it."""

    module: Module
    class_path: tuple[str, ...]
    marking: Marking
    layers: tuple[Layer, ...]
    maybe: tuple[str, ...]
    around: Around
    prefix: str  # of the node ids


class Collecting:
    """Collects the tests of the files of one tree."""

    def __init__(self, project: Project, tree: Tree) -> None:
        self._project = project
        self._evaluator = Evaluator(tree)
        self._marker = Marker(self._evaluator)
        self._lineages = Lineages(tree, self._evaluator)
        self._fixtures = Fixtures(self._evaluator, self._marker)
        self.conftests = Conftests(str(project.root), tree, self._evaluator, self._marker)
        self._class_markings: dict[int, tuple[TheClass, Marking]] = {}

    def tests_of(self, module: Module) -> tuple[list[DeclaredTest], list[str]]:
        """The tests of a file, and why there may be others."""
        around = self.conftests.around(os.path.dirname(module.path))
        scope = module.scope
        marking = self._marker.declared(scope.names.get("pytestmark"), module, None, Level.MODULE)
        layers = (Layer(module, scope), *(Layer(one, one.scope) for one in around.modules))
        prefix = f"{module.shown}::"
        holder = _Holder(module, (), marking, layers, around.maybe, around, prefix)
        unknown = list(scope.disturbed)
        if self._is_switched_off(scope.names.get("__test__"), module):
            return [], unknown
        tests: list[DeclaredTest] = []
        for name, bounds in scope.names.items():
            if self._may_be_collected(name, bounds[-1].meaning) or (
                f"{name}.__test__" in scope.names
            ):
                tests.extend(self._of_name(name, bounds, module, None, holder, unknown))
            unknown.extend(self._made_by_decorators(bounds[-1].meaning, module))
        if self._generates_tests(scope):
            unknown.append("pytest_generate_tests may bring marks")
        return tests, unknown

    def _made_by_decorators(self, meaning: Meaning, module: Module) -> Iterator[str]:
        """Why a decorated class may bring further tests: a function of the tree decorates it."""
        for term in meaning.decorators if isinstance(meaning, Class) else ():
            decorator = self._evaluator.of(term, module)
            if isinstance(decorator, TheFunction):
                yield f"the class decorator `{decorator.function.name}` may make tests"

    def _generates_tests(self, scope: Scope) -> bool:
        return any(
            isinstance(bound.meaning, Function) and bound.meaning.speaks_of_marks
            for bound in scope.names.get("pytest_generate_tests", ())
        )

    def _may_be_collected(self, name: str, meaning: Meaning) -> bool:
        """A look that is cheap, before imports are followed."""
        if isinstance(meaning, Class):
            return True
        if isinstance(meaning, Import):
            if not self._project.collects_imported:
                return False
            low = name.lower()
            return self._is_named_as_test(name) or any(word in low for word in _LIKE_TESTS)
        return self._is_named_as_test(name)

    def _is_named_as_test(self, name: str) -> bool:
        return _matches(name, self._project.python_functions) or _matches(
            name, self._project.python_classes
        )

    def _of_name(
        self,
        name: str,
        bounds: Sequence[Bound],
        module: Module,
        scope: Scope | None,
        holder: _Holder,
        unknown: list[str],
    ) -> Iterator[DeclaredTest]:
        """The tests that one name of a module or class stands for."""
        known = self._collectable(bounds, module, scope)
        maybe = _doubts(bounds)
        if isinstance(known, TheFunction):
            if _matches(name, self._project.python_functions) or self._is_switched_on(name, module):
                yield from self._of_function(name, known, scope, holder, maybe)
        elif isinstance(known, TheClass):
            yield from self._of_class(name, known, holder, maybe, unknown)
        elif self._is_named_as_test(name) and not _is_harmless(known):
            unknown.append(f"`{name}` may be a test: {_why(known)}")

    def _collectable(self, bounds: Sequence[Bound], module: Module, scope: Scope | None) -> Known:
        """What the name stands for; of several meanings the last function or class."""
        meaning = bounds[-1].meaning
        if len(bounds) == 1 and isinstance(meaning, Function):
            return TheFunction(meaning, module)
        known = self._evaluator.bound(bounds, module, scope)
        if isinstance(known, OneOf):
            chosen = [
                option for option in known.options if isinstance(option, (TheFunction, TheClass))
            ]
            return chosen[-1] if chosen else known.options[-1]
        return known

    def _is_switched_on(self, name: str, module: Module) -> bool:
        return self._test_attribute(module.scope.names.get(f"{name}.__test__"), module) is True

    def _is_switched_off(self, bounds: Sequence[Bound] | None, module: Module) -> bool:
        return self._test_attribute(bounds, module) is False

    def _test_attribute(self, bounds: Sequence[Bound] | None, module: Module) -> object:
        """The value of a `__test__`; None where there is none or it is not known."""
        if not bounds:
            return None
        known = self._evaluator.of(bounds[-1].meaning, module)
        return known.value if isinstance(known, Plain) else None

    def _of_function(
        self,
        name: str,
        known: TheFunction,
        scope: Scope | None,
        holder: _Holder,
        maybe: tuple[str, ...],
    ) -> Iterator[DeclaredTest]:
        decorated = self._marker.of_function(known, scope)
        if decorated.fixture is not None or not decorated.is_function:
            return
        function, defined_in = known.function, known.module
        if self._is_switched_off(
            defined_in.scope.names.get(f"{function.name}.__test__"), defined_in
        ):
            return
        if function.is_generator:
            return
        node_id = f"{holder.prefix}{name}"
        marking = decorated.marking + holder.marking
        if self._fixtures.may_bring(holder.layers):
            marking = marking + self._fixtures.brought(
                requested_by(function, marking), holder.layers
            )
        if holder.around.hooked:
            marking = marking + given_by_hooks(holder.around, node_id)
        disturbed = defined_in.scope.disturbances.get(function.name, ())
        yield DeclaredTest(
            node_id,
            Place(defined_in.shown, *function.at),
            name,
            holder.class_path,
            marking.marks,
            marking.cases,
            (*marking.unknown, *disturbed),
            marking.possible,
            (*holder.maybe, *maybe, *decorated.maybe),
        )

    def _of_class(
        self,
        name: str,
        known: TheClass,
        holder: _Holder,
        maybe: tuple[str, ...],
        unknown: list[str],
    ) -> Iterator[DeclaredTest]:
        lineage = self._lineages.of(known)
        if not lineage.is_test_case and not self._is_test_class(name, known, lineage):
            return
        if self._class_attribute(lineage, "__test__") is False:
            return
        if self._is_switched_off(
            known.module.scope.names.get(f"{known.outline.name}.__test__"), known.module
        ):
            return
        if is_abstract(lineage, self._marker):
            return
        if not lineage.is_test_case and has_own_init(lineage, self._evaluator):
            return
        inner = _Holder(
            holder.module,
            (*holder.class_path, name),
            self._marking_of_class(known, lineage) + holder.marking,
            (*(Layer(one.module, scope) for one, scope in lineage_layers(lineage)), *holder.layers),
            (*holder.maybe, *maybe, *lineage.doubts),
            holder.around,
            f"{holder.prefix}{name}::",
        )
        if lineage.doubts:
            unknown.append(f"class {name}: {lineage.doubts[0]}")
        members = members_of(lineage)
        found = False
        for member, (bounds, owner, scope) in members.items():
            if lineage.is_test_case:
                tests = self._of_test_case(member, bounds, owner, scope, inner, unknown)
            else:
                tests = self._of_name(member, bounds, owner.module, scope, inner, unknown)
            for test in tests:
                found = True
                yield test
        if lineage.is_test_case and not found and "runTest" in members:
            bounds, owner, scope = members["runTest"]
            yield from self._of_test_case("runTest", bounds, owner, scope, inner, unknown, True)

    def _of_test_case(
        self,
        name: str,
        bounds: Sequence[Bound],
        owner: TheClass,
        scope: Scope,
        holder: _Holder,
        unknown: list[str],
        is_named: bool = False,
    ) -> Iterator[DeclaredTest]:
        """A method of a unittest.TestCase: unittest's own rule for names."""
        if not is_named and not name.startswith("test"):
            return
        known = self._collectable(bounds, owner.module, scope)
        if isinstance(known, TheFunction):
            yield from self._of_function(name, known, scope, holder, _doubts(bounds))
        elif not _is_harmless(known) and not isinstance(known, TheClass):
            unknown.append(f"`{name}` may be a test: {_why(known)}")

    def _is_test_class(self, name: str, known: TheClass, lineage: Lineage) -> bool:
        return (
            _matches(name, self._project.python_classes)
            or self._class_attribute(lineage, "__test__") is True
        )

    def _class_attribute(self, lineage: Lineage, name: str) -> object:
        found = lineage.find(name)
        return None if found is None else self._test_attribute(found[0], found[1].module)

    def _marking_of_class(self, known: TheClass, lineage: Lineage) -> Marking:
        """The marks of a class and its bases, the furthest base first, as pytest lists them."""
        key = id(known.outline)
        if key not in self._class_markings:
            marking = NOTHING
            for one, scope in reversed(list(lineage_layers(lineage))):
                marking = marking + self._marker.of_class(one, scope)
            doubts = Marking(unknown=lineage.doubts)
            self._class_markings[key] = (known, marking + doubts)
        return self._class_markings[key][1]


def _doubts(bounds: Sequence[Bound]) -> tuple[str, ...]:
    return (bounds[0].when,) if bounds[0].when else ()


def _matches(name: str, patterns: Iterable[str]) -> bool:
    """pytest's rule for python_functions and python_classes: a prefix or a glob."""
    for pattern in patterns:
        if name.startswith(pattern):
            return True
        if any(sign in pattern for sign in "*?[") and fnmatch.fnmatch(name, pattern):
            return True
    return False


def _is_harmless(known: Known) -> bool:
    """Whether it is certain that this is no test."""
    if isinstance(known, Outside):
        # unittest's own classes are imported to inherit from, and have no tests.
        return known.dotted.startswith(("builtins.", "unittest.")) or "." not in known.dotted
    return not isinstance(known, (Unknown, OneOf))


def _why(known: Known) -> str:
    if isinstance(known, Unknown):
        return known.reason
    if isinstance(known, Outside):
        return f"`{known.dotted}` is not in the files that were read"
    return "it depends on a condition"
