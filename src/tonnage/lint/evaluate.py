"""What the terms of an outline stand for: marks, functions, classes, or what is known of them."""

import builtins
import sys
from collections.abc import Iterable, Iterator, Mapping

from tonnage.lint.known import (
    NO_CASES,
    Cases,
    Known,
    Listed,
    OneOf,
    Outside,
    Plain,
    TheCase,
    TheClass,
    TheFixture,
    TheFunction,
    TheMark,
    TheModule,
    Unknown,
)
from tonnage.lint.model import UNREAD, Case, Level, Place, PlacedMark
from tonnage.lint.outline import (
    Bind,
    Call,
    Choice,
    Class,
    Function,
    Import,
    Items,
    Joined,
    Meaning,
    Name,
    Opaque,
    Repeated,
    Span,
    Starred,
    Value,
)
from tonnage.lint.scopes import Bound, Scope
from tonnage.lint.tree import Module, Tree
from tonnage.markers.marks import MarkValue

_MARK = "pytest.mark."
_UNREAD = Plain(UNREAD)
_MAX_DEPTH = 25

# Calls of these give data without marks when they are given such data.
_DATA_MODULES = frozenset(sys.stdlib_module_names) | {"numpy", "scipy", "pandas", "torch"}
# Builtins that give what they are given.
_PASS_ON = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed"})


# Of these modules' functions, those that may give anything all the same.
_GIVES_ANYTHING = frozenset(
    {"builtins.getattr", "builtins.eval", "builtins.next", "functools.partial", "functools.reduce"}
)


class Evaluator:
    """Evaluates terms in the modules of one tree. Remembers what module-level names stand for."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._remembered: dict[tuple[int, str], Known] = {}
        self._under_way: set[tuple[int, str]] = set()

    def of(
        self, meaning: Meaning, module: Module, scope: Scope | None = None, depth: int = 0
    ) -> Known:
        """What a meaning stands for in a module; `scope`: the class body it stands in."""
        if depth > _MAX_DEPTH:
            return Unknown("it is nested too deeply")
        if isinstance(meaning, Name):
            return self._name(meaning, module, scope)
        if isinstance(meaning, Value):
            return Plain(meaning.value)
        if isinstance(meaning, Call):
            return self._call(meaning, module, scope, depth + 1)
        if isinstance(meaning, Function):
            return TheFunction(meaning, module)
        if isinstance(meaning, Class):
            return TheClass(meaning, module)
        if isinstance(meaning, Import):
            return self._import(meaning, module)
        if isinstance(meaning, (Items, Joined, Repeated)):
            return Listed(tuple(self._items(meaning, module, scope, depth + 1)))
        if isinstance(meaning, Choice):
            options = (self.of(option, module, scope, depth + 1) for option in meaning.options)
            return _one_of(options)
        if isinstance(meaning, Starred):
            return self.of(meaning.term, module, scope, depth + 1)
        return Unknown("it is computed when the file runs")

    def name(self, name: str, module: Module) -> Known | None:
        """What a name of a module stands for; None where it has no such name."""
        remembered = module.meanings.get(name)
        if remembered is not None:
            return remembered  # type: ignore[return-value]
        bounds = module.scope.names.get(name)
        if bounds is None:
            return None
        known = self._guarded((id(module), name), bounds, module, None)
        if known is None:
            return Unknown(f"`{name}` is defined by itself")
        module.meanings[name] = known
        return known

    def _guarded(
        self, key: tuple[int, str], bounds: list[Bound], module: Module, scope: Scope | None
    ) -> Known | None:
        """What a name stands for; None while just that is being found out, as in `f = g(f)`."""
        if key in self._under_way:
            return None
        self._under_way.add(key)
        try:
            return self.bound(bounds, module, scope)
        finally:
            self._under_way.discard(key)

    def bound(self, bounds: Iterable[Bound], module: Module, scope: Scope | None = None) -> Known:
        """What a name with these possible meanings stands for."""
        return _one_of([self.of(bound.meaning, module, scope) for bound in bounds])

    def _name(self, term: Name, module: Module, scope: Scope | None) -> Known:
        root, _, rest = term.dotted.partition(".")
        if scope is not None and scope is not module.scope and root in scope.names:
            found = self._guarded((id(scope), root), scope.names[root], module, scope)
            if found is not None:
                return self._marked(self._attributes(found, rest), module, term.at)
        known = self._remembered.get((id(module), term.dotted))
        if known is None:
            known = self._attributes(self._root(root, module), rest)
            if not self._under_way:  # else it may only seem to be unknown
                self._remembered[id(module), term.dotted] = known
        return self._marked(known, module, term.at)

    def _root(self, name: str, module: Module) -> Known:
        """What a name stands for at module level."""
        known = self.name(name, module)
        if known is not None:
            return known
        if hasattr(builtins, name):
            return Outside(f"builtins.{name}")
        if module.scope.disturbed:
            return Unknown(module.scope.disturbed[0])
        return Unknown(f"`{name}` is not defined in {module.shown}")

    def _attributes(self, known: Known, attributes: str) -> Known:
        for attribute in attributes.split(".") if attributes else ():
            known = self._attribute(known, attribute)
        return known

    def _marked(self, known: Known, module: Module, at: Span) -> Known:
        """A mark where the name of one is written, else what it is."""
        if isinstance(known, Outside) and known.dotted.startswith(_MARK):
            return _mark(known.dotted[len(_MARK) :], _place(module, at))
        return known

    def _attribute(self, known: Known, attribute: str) -> Known:
        if isinstance(known, Outside):
            dotted = f"{known.dotted}.{attribute}"
            return Outside(dotted)
        if isinstance(known, TheModule):
            found = self.name(attribute, known.module)
            if found is not None:
                return found
            submodule = self._tree.submodule(known.module, attribute)
            if submodule is not None:
                return TheModule(submodule)
            return Unknown(f"{known.module.shown} does not define `{attribute}`")
        if isinstance(known, TheMark) and attribute == "with_args":
            return known
        if isinstance(known, TheFunction):
            return _UNREAD
        if isinstance(known, TheClass):
            return self._class_attribute(known, attribute)
        if isinstance(known, OneOf):
            return _one_of(self._attribute(option, attribute) for option in known.options)
        return Unknown(f"`.{attribute}` of something computed when the file runs")

    def _class_attribute(self, known: TheClass, attribute: str) -> Known:
        """What the body of a class says; what it inherits is taken for data."""
        for statement in reversed(known.outline.body):
            if isinstance(statement, Bind) and statement.name == attribute:
                return self.of(statement.meaning, known.module)
        return _UNREAD

    def _import(self, named: Import, module: Module) -> Known:
        target = self._tree.imported(module, named)
        if target is None:
            return self._not_a_file(named, module)
        if target.outline.fault is not None:
            return Unknown(f"{target.shown} cannot be read")
        if not named.attribute:
            return TheModule(target)
        known = self.name(named.attribute, target)
        if known is not None:
            return known
        submodule = self._tree.submodule(target, named.attribute)
        if submodule is not None:
            return TheModule(submodule)
        return Unknown(f"{target.shown} does not define `{named.attribute}`")

    def _not_a_file(self, named: Import, module: Module) -> Known:
        """An import from a directory without `__init__.py`, or of something outside the tree."""
        dotted = f"{named.module}.{named.attribute}" if named.attribute else named.module
        if named.attribute:
            submodule = self._tree.imported(module, Import(dotted.lstrip("."), "", named.level))
            if submodule is not None:
                return TheModule(submodule)
        if named.level:
            return Unknown(f"`{'.' * named.level}{dotted}` was not found")
        return Outside(dotted)

    def _items(
        self, term: Meaning, module: Module, scope: Scope | None, depth: int
    ) -> Iterator[Known]:
        """The items of a list-like term, those of lists inside `*` and `+` among them."""
        if isinstance(term, Items):
            for item in term.items:
                if isinstance(item, Starred):
                    yield from _listed(self.of(item.term, module, scope, depth))
                else:
                    yield self.of(item, module, scope, depth)
        elif isinstance(term, Joined):
            for part in term.parts:
                yield from _listed(self.of(part, module, scope, depth))
        elif isinstance(term, Repeated):
            yield self.of(term.term, module, scope, depth)

    def _call(self, term: Call, module: Module, scope: Scope | None, depth: int) -> Known:
        function = self.of(term.function, module, scope, depth)
        args = [
            item
            for arg in term.args
            for item in (
                _listed(self.of(arg.term, module, scope, depth))
                if isinstance(arg, Starred)
                else (self.of(arg, module, scope, depth),)
            )
        ]
        kwargs = {name: self.of(value, module, scope, depth) for name, value in term.kwargs}
        place = _place(module, term.at)
        if isinstance(function, TheMark):
            return _mark_called(function, args, kwargs, place)
        if isinstance(function, TheFunction):
            return self._made_by(function, depth)
        if isinstance(function, Outside):
            return _made_outside(function.dotted, args, kwargs, place)
        return Unknown(f"line {term.at[0]} of {module.shown} computes it")

    def _made_by(self, called: TheFunction, depth: int) -> Known:
        """What a function of the tree returns, where that does not depend on its arguments."""
        function = called.function
        if not function.speaks_of_marks:
            return _UNREAD
        given = dict.fromkeys(function.parameters, Opaque())
        results = self.returned(called, given, depth + 1)
        if not results or any(map(_has_unknown, results)):
            return Unknown(f"`{function.name}` may make marks")
        return _one_of(results)

    def returned(
        self, called: TheFunction, given: Mapping[str, Meaning], depth: int = 0
    ) -> list[Known]:
        """What the `return` statements of a function give, with these meanings of parameters."""
        local = Scope({name: [Bound(meaning)] for name, meaning in given.items()})
        terms = called.function.returns
        return [self.of(returned, called.module, local, depth) for returned in terms]


def _place(module: Module, at: Span) -> Place:
    return Place(module.shown, *at)


def _one_of(options: Iterable[Known]) -> Known:
    different: list[Known] = []
    for option in options:
        if option not in different:
            different.append(option)
    return different[0] if len(different) == 1 else OneOf(tuple(different))


def _listed(known: Known) -> Iterator[Known]:
    """The items of a list; what is not known to be one counts as an item of its own."""
    if isinstance(known, Listed):
        yield from known.items
    elif not isinstance(known, Plain):
        yield known


def _has_unknown(known: Known) -> bool:
    if isinstance(known, (Listed, OneOf)):
        inner = known.items if isinstance(known, Listed) else known.options
        return any(map(_has_unknown, inner))
    return isinstance(known, Unknown)


def _mark(name: str, place: Place) -> Known:
    name = name.removesuffix(".with_args")
    if "." in name:
        return Unknown(f"`pytest.mark.{name}` is no mark")
    return TheMark(PlacedMark(MarkValue(name), Level.TEST, place))


def _mark_called(
    called: TheMark, args: list[Known], kwargs: dict[str, Known], place: Place
) -> Known:
    """A mark with arguments, or put on a function or class by hand."""
    if len(args) == 1 and not kwargs and isinstance(args[0], (TheFunction, TheClass)):
        subject = args[0]
        if isinstance(subject, TheFunction):
            return TheFunction(subject.function, subject.module, (*subject.marks, called))
        return Unknown("a mark is put on a class by hand")
    value = called.mark.value
    cases = NO_CASES
    if value.name == "parametrize":
        cases = cases_of(args[1] if len(args) > 1 else kwargs.get("argvalues", _UNREAD))
    new = MarkValue(
        value.name,
        (*value.args, *map(_plain_value, args)),
        {**value.kwargs, **{name: _plain_value(known) for name, known in kwargs.items() if name}},
    )
    return TheMark(PlacedMark(new, called.mark.level, place), cases)


def _plain_value(known: Known) -> object:
    return known.value if isinstance(known, Plain) else UNREAD


def cases_of(values: Known) -> Cases:
    """What the values of a parametrisation bring."""
    marked: list[Case] = []
    possible: list[tuple[str, str]] = []
    doubts: list[str] = []
    for item in _listed(values):
        if isinstance(item, TheCase):
            doubts.extend(item.doubts)
            if item.case.marks:
                marked.append(item.case)
        elif isinstance(item, OneOf):
            # It depends on a condition which of these cases there are.
            for cases in map(cases_of, item.options):
                names = (mark.value.name for case in cases.marked for mark in case.marks)
                possible.extend((name, "a case of a parametrisation may have it") for name in names)
                possible.extend(cases.possible)
                doubts.extend(cases.doubts)
        elif isinstance(item, Unknown):
            doubts.append(f"a parametrisation may bring marks: {item.reason}")
    return Cases(tuple(marked), tuple(dict.fromkeys(possible)), tuple(dict.fromkeys(doubts)))


def _made_outside(dotted: str, args: list[Known], kwargs: dict[str, Known], place: Place) -> Known:
    """What a function outside the tree gives."""
    root, _, name = dotted.partition(".")
    if dotted == "pytest.param":
        return _param(kwargs, place)
    if dotted.rpartition(".")[2] in {"fixture", "yield_fixture"}:
        return _fixture(args, kwargs)
    if root == "builtins" and name in _PASS_ON and len(args) == 1:
        return args[0]
    given = [*args, *kwargs.values()]
    is_data = (root == "builtins" or root in _DATA_MODULES) and dotted not in _GIVES_ANYTHING
    if is_data and not any(_holds_marks(known) for known in given):
        return _UNREAD
    return Unknown(f"`{dotted.removeprefix('builtins.')}` computes it")


def _holds_marks(known: Known) -> bool:
    if isinstance(known, (Listed, OneOf)):
        inner = known.items if isinstance(known, Listed) else known.options
        return any(map(_holds_marks, inner))
    if isinstance(known, Outside):
        return known.dotted.startswith("pytest.")  # `map(pytest.param, ...)`
    return isinstance(known, (TheMark, TheCase))


def _param(kwargs: dict[str, Known], place: Place) -> Known:
    marks, possible, unknown = marks_in(kwargs.get("marks", _UNREAD))
    identity = _plain_value(kwargs.get("id", _UNREAD))
    doubts = [*unknown, *(reason for _, reason in possible)]
    if "" in kwargs:
        doubts.append("a pytest.param takes `**` arguments")
    placed = tuple(
        PlacedMark(mark.mark.value, Level.CASE, mark.mark.place or place) for mark in marks
    )
    return TheCase(
        Case(placed, place, identity if isinstance(identity, str) else None), tuple(doubts)
    )


def _fixture(args: list[Known], kwargs: dict[str, Known]) -> Known:
    cases = cases_of(kwargs.get("params", _UNREAD))
    name = _plain_value(kwargs.get("name", Plain("")))
    is_autouse = _plain_value(kwargs.get("autouse", Plain(False)))
    return TheFixture(name if isinstance(name, str) else "", is_autouse is not False, cases)


Marks = tuple[list[TheMark], list[tuple[str, str]], list[str]]
"""Marks that are there; marks that may be, by name with the reason; why there may be any others."""


def marks_in(known: Known) -> Marks:
    """The marks in what `pytestmark`, `marks=` or a decorator was given."""
    if isinstance(known, TheMark):
        return [known], [], []
    if isinstance(known, Listed):
        marks: list[TheMark] = []
        possible: list[tuple[str, str]] = []
        unknown: list[str] = []
        for item in known.items:
            more = marks_in(item)
            marks += more[0]
            possible += more[1]
            unknown += more[2]
        return marks, possible, unknown
    if isinstance(known, OneOf):
        return _marks_of_one(known)
    if isinstance(known, Unknown):
        return [], [], [known.reason]
    if isinstance(known, Outside) and not known.dotted.startswith("builtins."):
        return [], [], [f"`{known.dotted}` is not in the files that were read"]
    return [], [], []


def _marks_of_one(known: OneOf) -> Marks:
    """Marks that all options have are there; those of some may be."""
    found = [marks_in(option) for option in known.options]
    common = set.intersection(*({mark.mark.value.name for mark in marks} for marks, _, _ in found))
    certain = [mark for mark in found[-1][0] if mark.mark.value.name in common]
    possible = [
        (mark.mark.value.name, "it depends on a condition")
        for marks, _, _ in found
        for mark in marks
        if mark.mark.value.name not in common
    ]
    possible += [pair for _, more, _ in found for pair in more]
    return certain, list(dict.fromkeys(possible)), [why for _, _, more in found for why in more]
