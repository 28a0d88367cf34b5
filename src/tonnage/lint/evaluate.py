"""What the terms of an outline stand for: marks, functions, classes, or what is known of them."""

import builtins
from collections.abc import Iterable, Iterator, Mapping

from tonnage.lint.calls import UNREAD_VALUE, made_outside, mark_called
from tonnage.lint.known import (
    Known,
    Listed,
    OneOf,
    Outside,
    Plain,
    TheClass,
    TheFunction,
    TheMark,
    TheModule,
    Unknown,
)
from tonnage.lint.known_marks import listed
from tonnage.lint.model import Level, Place, PlacedMark
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
_MAX_DEPTH = 25


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
            return UNREAD_VALUE
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
        return UNREAD_VALUE

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
                    yield from listed(self.of(item.term, module, scope, depth))
                else:
                    yield self.of(item, module, scope, depth)
        elif isinstance(term, Joined):
            for part in term.parts:
                yield from listed(self.of(part, module, scope, depth))
        elif isinstance(term, Repeated):
            yield self.of(term.term, module, scope, depth)

    def _call(self, term: Call, module: Module, scope: Scope | None, depth: int) -> Known:
        function = self.of(term.function, module, scope, depth)
        args = [
            item
            for arg in term.args
            for item in (
                listed(self.of(arg.term, module, scope, depth))
                if isinstance(arg, Starred)
                else (self.of(arg, module, scope, depth),)
            )
        ]
        kwargs = {name: self.of(value, module, scope, depth) for name, value in term.kwargs}
        place = _place(module, term.at)
        if isinstance(function, TheMark):
            return mark_called(function, args, kwargs, place)
        if isinstance(function, TheFunction):
            return self._made_by(function, depth)
        if isinstance(function, Outside):
            return made_outside(function.dotted, args, kwargs, place)
        return Unknown(f"line {term.at[0]} of {module.shown} computes it")

    def _made_by(self, called: TheFunction, depth: int) -> Known:
        """What a function of the tree returns, where that does not depend on its arguments."""
        function = called.function
        if not function.speaks_of_marks:
            return UNREAD_VALUE
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
