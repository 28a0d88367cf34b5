"""Marks that come with the fixtures of a test: the cases of `pytest.fixture(params=...)`."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tonnage.lint.evaluate import Evaluator
from tonnage.lint.known import TheFixture, TheFunction
from tonnage.lint.marking import NOTHING, Marker, Marking
from tonnage.lint.outline import Call, Function, Import, Meaning
from tonnage.lint.scopes import Scope
from tonnage.lint.tree import Module

_WITHOUT_FIXTURES = frozenset(sys.stdlib_module_names) | {"pytest", "numpy", "torch"}


@dataclass(frozen=True, slots=True)
class Fixture:
    """A fixture: what its own parameters bring, and the fixtures it asks for."""

    name: str
    marking: Marking
    requests: tuple[str, ...]
    is_autouse: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """A module or class in which fixtures are looked for."""

    module: Module
    scope: Scope


class Fixtures:
    """Finds fixtures by name, nearest layer first; remembers each layer's."""

    def __init__(self, evaluator: Evaluator, marker: Marker) -> None:
        self._evaluator = evaluator
        self._marker = marker
        self._found: dict[tuple[int, str], Fixture | None] = {}
        self._bringing: dict[int, bool] = {}
        self._defined: dict[int, tuple[Layer, dict[str, Fixture]]] = {}

    def may_bring(self, layers: tuple[Layer, ...]) -> bool:
        """Whether any fixture of these layers has parameters that matter, or is not known yet.

        In most files none has, and then no test needs a closer look.
        """
        return any(self._may_bring(layer) for layer in layers)

    def _may_bring(self, layer: Layer) -> bool:
        key = id(layer.scope)
        if key not in self._bringing:
            fixtures = self._of_layer(layer).values()
            self._bringing[key] = any(fixture.marking for fixture in fixtures) or any(
                _may_be_fixture(bounds[-1].meaning) for bounds in layer.scope.names.values()
            )
        return self._bringing[key]

    def brought(self, requested: Iterable[str], layers: tuple[Layer, ...]) -> Marking:
        """What the fixtures bring that these names lead to, autouse ones included."""
        pending = [*requested, *self._autouse(layers)]
        seen: set[str] = set()
        marking = NOTHING
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            fixture = self._find(name, layers)
            if fixture is not None:
                marking = marking + fixture.marking
                pending.extend(fixture.requests)
        return marking

    def _autouse(self, layers: tuple[Layer, ...]) -> Iterator[str]:
        for layer in layers:
            for fixture in self._of_layer(layer).values():
                if fixture.is_autouse:
                    yield fixture.name

    def _find(self, name: str, layers: tuple[Layer, ...]) -> Fixture | None:
        for layer in layers:
            fixture = self._of_layer(layer).get(name) or self._imported(name, layer)
            if fixture is not None:
                return fixture
        return None

    def _of_layer(self, layer: Layer) -> dict[str, Fixture]:
        """The fixtures that are defined in a layer, by name."""
        key = id(layer.scope)
        if key not in self._defined:
            fixtures: dict[str, Fixture] = {}
            for name, bounds in layer.scope.names.items():
                function = bounds[-1].meaning
                if isinstance(function, Function) and function.decorators:
                    fixture = self._made(name, TheFunction(function, layer.module), layer.scope)
                    if fixture is not None:
                        fixtures[fixture.name] = fixture
            self._defined[key] = (
                layer,
                fixtures,
            )  # the layer is kept alive: the key is an identity
        return self._defined[key][1]

    def _imported(self, name: str, layer: Layer) -> Fixture | None:
        """A fixture that a layer imports or makes by a call."""
        key = (id(layer.scope), name)
        if key not in self._found:
            bounds = layer.scope.names.get(name)
            known = self._evaluator.bound(bounds, layer.module) if bounds else None
            is_function = isinstance(known, TheFunction)
            self._found[key] = self._made(name, known, None) if is_function else None  # type: ignore[arg-type]
        return self._found[key]

    def _made(self, name: str, known: TheFunction, scope: Scope | None) -> Fixture | None:
        decorated = self._marker.of_function(known, scope)
        fixture: TheFixture | None = decorated.fixture
        if fixture is None:
            return None
        brought = fixture.cases
        marking = Marking((), brought.marked, brought.possible, brought.doubts)
        requests = tuple(
            request for request in known.function.parameters if request not in {"self", "request"}
        )
        return Fixture(fixture.name or name, marking, requests, fixture.is_autouse)


def _may_be_fixture(meaning: Meaning) -> bool:
    """Whether something that is not defined here, such as an import from the project, may be one.

    Imports of modules, and from the standard library or pytest, are none.
    """
    if isinstance(meaning, Import):
        root = meaning.module.partition(".")[0]
        return bool(meaning.attribute) and (bool(meaning.level) or root not in _WITHOUT_FIXTURES)
    return isinstance(meaning, Call)


def requested_by(function: Function, marking: Marking) -> Iterable[str]:
    """The fixtures a test asks for."""
    names = [name for name in function.parameters if name != "self"]
    for mark in marking.marks:
        if mark.value.name == "usefixtures":
            names += [arg for arg in mark.value.args if isinstance(arg, str)]
        elif mark.value.name == "parametrize" and mark.value.args:
            # What is parametrised directly is no fixture.
            given = mark.value.args[0]
            listed = given.split(",") if isinstance(given, str) else given
            if isinstance(listed, (list, tuple)) and not mark.value.kwargs.get("indirect"):
                taken = {str(name).strip() for name in listed}
                names = [name for name in names if name not in taken]
    return names
