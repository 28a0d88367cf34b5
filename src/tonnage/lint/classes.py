"""A class as pytest's collectors look at it: its members, and whether it can be instantiated."""

from collections.abc import Iterator

from tonnage.lint.evaluate import Evaluator
from tonnage.lint.inherit import Lineage
from tonnage.lint.known import Outside, TheClass, TheFunction
from tonnage.lint.marking import Marker
from tonnage.lint.outline import Function
from tonnage.lint.scopes import Bound, Scope

Members = dict[str, tuple[list[Bound], TheClass, Scope]]

_MAKES_INIT = frozenset(
    ("dataclasses.dataclass", "attr.s", "attr.attrs", "attr.define", "attrs.define", "attrs.frozen")
)


def lineage_layers(lineage: Lineage) -> Iterator[tuple[TheClass, Scope]]:
    """The classes of a lineage with their names, the class itself first."""
    return zip(lineage.classes, lineage.scopes, strict=True)


def members_of(lineage: Lineage) -> Members:
    """The attributes of a class by name, those of the furthest base first, each where it is set."""
    own: list[Members] = []
    seen: set[str] = set()
    for known, scope in lineage_layers(lineage):
        own.append(
            {
                name: (bounds, known, scope)
                for name, bounds in scope.names.items()
                if name not in seen
            }
        )
        seen.update(scope.names)
    return {name: member for members in reversed(own) for name, member in members.items()}


def is_abstract(lineage: Lineage, marker: Marker) -> bool:
    """Whether an abstract method is left in a class that Python checks for them."""
    if not lineage.is_abc:
        return False
    for bounds, owner, scope in members_of(lineage).values():
        meaning = bounds[-1].meaning
        if isinstance(meaning, Function) and meaning.decorators:
            known = TheFunction(meaning, owner.module)
            if marker.of_function(known, scope).is_abstract:
                return True
    return False


def has_own_init(lineage: Lineage, evaluator: Evaluator) -> bool:
    """Whether a class brings an `__init__` or `__new__`, for which pytest leaves it out."""
    return (
        lineage.has_init
        or lineage.find("__init__") is not None
        or lineage.find("__new__") is not None
        or any(_is_dataclass(known, evaluator) for known in lineage.classes)
    )


def _is_dataclass(known: TheClass, evaluator: Evaluator) -> bool:
    """Whether a decorator gives it an `__init__`."""
    for term in known.outline.decorators:
        meant = evaluator.of(getattr(term, "function", term), known.module)
        if isinstance(meant, Outside) and meant.dotted in _MAKES_INIT:
            return True
    return False
