"""The marks on functions, classes and modules, and what decorators do besides marking."""

from dataclasses import dataclass, replace

from tonnage.lint.evaluate import Evaluator
from tonnage.lint.known import (
    Known,
    Outside,
    TheClass,
    TheFixture,
    TheFunction,
    TheMark,
    Unknown,
)
from tonnage.lint.known_marks import marks_in
from tonnage.lint.model import Case, Level, PlacedMark
from tonnage.lint.outline import Call, Function, Meaning, Name, Term
from tonnage.lint.scopes import Bound, Scope
from tonnage.lint.tree import Module


@dataclass(frozen=True, slots=True)
class Marking:
    """The marks at one level, in the order of `own_markers`, and what else there may be."""

    marks: tuple[PlacedMark, ...] = ()
    cases: tuple[Case, ...] = ()
    possible: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.marks or self.unknown or self.possible or self.cases)

    def __add__(self, other: "Marking") -> "Marking":
        if not other:
            return self
        if not self:
            return other
        return Marking(
            self.marks + other.marks,
            self.cases + other.cases,
            self.possible + other.possible,
            self.unknown + other.unknown,
        )


NOTHING = Marking()

# Decorators outside the tree that leave a test a test and give it no mark, by their first names.
_HARMLESS_ROOTS = frozenset(
    {
        "unittest",
        "mock",
        "hypothesis",
        "functools",
        "contextlib",
        "typing",
        "typing_extensions",
        "warnings",
        "numpy",
        "abc",
        "asyncio",
        "dataclasses",
        "tornado",
        "freezegun",
        "time_machine",
        "responses",
        "respx",
        "torch",
        "numba",
        "jax",
    }
)
_HARMLESS_BUILTINS = frozenset({"staticmethod", "classmethod"})
# What makes something else of a function.
_NO_FUNCTION = frozenset(
    {"builtins.property", "functools.cached_property", "functools.singledispatch"}
)


@dataclass(frozen=True, slots=True)
class Decorated:
    """What the decorators make of a function: its marks; a fixture; nothing pytest collects.

    `maybe`: decorators that may make something else of it.
    """

    marking: Marking
    fixture: TheFixture | None = None
    is_function: bool = True
    is_abstract: bool = False
    maybe: tuple[str, ...] = ()


class Marker:
    """Evaluates marks. `of_function` remembers: tests inherited often are evaluated once."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._decorated: dict[int, tuple[Function, Decorated]] = {}

    def of_function(self, known: TheFunction, scope: Scope | None) -> Decorated:
        """What the decorators of a function do; `scope`: the class body it stands in."""
        function = known.function
        if not function.decorators and not known.marks:
            return _UNDECORATED
        key = id(function)
        if known.marks or key not in self._decorated:
            decorated = self._decorate(known, scope)
            if known.marks:
                return decorated
            self._decorated[key] = (function, decorated)
        return self._decorated[key][1]

    def _decorate(self, known: TheFunction, scope: Scope | None) -> Decorated:
        marking = NOTHING
        fixture: TheFixture | None = None
        is_function, is_abstract = True, False
        maybe: tuple[str, ...] = ()
        for term in reversed(known.function.decorators):  # as Python applies them
            meant = self._evaluator.of(term, known.module, scope)
            dotted = meant.dotted if isinstance(meant, Outside) else ""
            if isinstance(meant, TheFixture):
                fixture = meant
            elif dotted.rpartition(".")[2] in _FIXTURES:
                fixture = TheFixture()
            elif dotted in _NO_FUNCTION or _is_of_property(term):
                is_function = False
            elif dotted.startswith("abc.abstract"):
                is_abstract = True
            else:
                given = self._by_decorator(meant, term, known.module)
                marking = marking + given
                if given.unknown and not isinstance(meant, TheMark):
                    maybe += given.unknown
        for mark in known.marks:
            marking = marking + _marking_of(mark, Level.TEST)
        return Decorated(marking, fixture, is_function, is_abstract, maybe)

    def _by_decorator(self, meant: Known, term: Term, module: Module) -> Marking:
        """The marks that one decorator gives."""
        if isinstance(meant, TheFunction):
            return self._by_function(meant)
        if isinstance(meant, Outside):
            return NOTHING if _is_harmless(meant.dotted) else _unknown(_not_known(meant.dotted))
        if isinstance(meant, TheClass):
            return _unknown(f"the class `{meant.outline.name}` decorates it")
        if isinstance(meant, Unknown):
            called = _called_outside(self._evaluator, term, module)
            if called is not None and _is_harmless(called):
                return NOTHING
            return _unknown(_not_known(called) if called else f"a decorator: {meant.reason}")
        return self.marking(meant, Level.TEST)

    def _by_function(self, decorator: TheFunction) -> Marking:
        """A decorator of the tree: it may put marks on what it gets."""
        function = decorator.function
        if not function.speaks_of_marks:
            return NOTHING
        subject = Function("", function.at)
        parameter = function.parameters[0] if function.parameters else ""
        results = self._evaluator.returned(decorator, {parameter: subject})
        if results and all(
            isinstance(result, TheFunction) and result.function is subject for result in results
        ):
            marks = [result.marks for result in results if isinstance(result, TheFunction)]
            if all(one == marks[0] for one in marks):
                marking = NOTHING
                for mark in marks[0]:
                    marking = marking + _marking_of(mark, Level.TEST)
                return marking
        return _unknown(f"the decorator `{function.name}` may give marks")

    def of_class(self, known: TheClass, scope: Scope) -> Marking:
        """The marks of a class itself: its `pytestmark`, then its decorators, innermost first."""
        marking = self.declared(scope.names.get("pytestmark"), known.module, scope, Level.CLASS)
        for term in reversed(known.outline.decorators):
            meant = self._evaluator.of(term, known.module)
            marking = marking + _at_level(self._by_decorator(meant, term, known.module))
        return marking

    def declared(
        self, bounds: list[Bound] | None, module: Module, scope: Scope | None, level: Level
    ) -> Marking:
        """The marks of a `pytestmark`."""
        if not bounds:
            return NOTHING
        marking = self.marking(self._evaluator.bound(bounds, module, scope), level)
        if bounds[0].when and not bounds[0].when.startswith("after "):
            possible = tuple((mark.value.name, bounds[0].when) for mark in marking.marks)
            return Marking((), (), marking.possible + possible, marking.unknown)
        return marking

    def marking(self, known: Known, level: Level) -> Marking:
        """The marks in a value, as marks of this level."""
        if isinstance(known, TheMark):
            return _marking_of(known, level)
        marks, possible, unknown = marks_in(known)
        marking = Marking((), (), tuple(possible), tuple(unknown))
        for mark in marks:
            marking = marking + _marking_of(mark, level)
        return marking


_FIXTURES = frozenset({"fixture", "yield_fixture"})
_UNDECORATED = Decorated(NOTHING)


def _marking_of(mark: TheMark, level: Level) -> Marking:
    placed = mark.mark if mark.mark.level is level else replace(mark.mark, level=level)
    return Marking((placed,), mark.cases.marked, mark.cases.possible, mark.cases.doubts)


def _is_of_property(term: Meaning) -> bool:
    """Whether a decorator is `@name.setter` or the like."""
    return isinstance(term, Name) and term.dotted.endswith((".setter", ".getter", ".deleter"))


def _at_level(marking: Marking) -> Marking:
    marks = tuple(replace(mark, level=Level.CLASS) for mark in marking.marks)
    return replace(marking, marks=marks)


def _unknown(reason: str) -> Marking:
    return Marking(unknown=(reason,))


def _not_known(dotted: str) -> str:
    return f"the decorator `{dotted.removeprefix('builtins.')}` is not known"


def _is_harmless(dotted: str) -> bool:
    root, _, rest = dotted.partition(".")
    return root in _HARMLESS_ROOTS or (root == "builtins" and rest in _HARMLESS_BUILTINS)


def _called_outside(evaluator: Evaluator, term: Meaning, module: Module) -> str | None:
    """The full name of a function outside the tree that a decorator calls."""
    while isinstance(term, Call):
        term = term.function
    known = evaluator.of(term, module)
    return known.dotted if isinstance(known, Outside) else None
