"""The names of one module or class once its statements have run, as far as that is certain."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tonnage.lint.outline import (
    IN_HANDLER,
    Bind,
    Choice,
    Class,
    Extend,
    Function,
    Import,
    ImportAll,
    Items,
    Joined,
    Meaning,
    Opaque,
    Statement,
    Stop,
    Unbind,
)
from tonnage.lint.terms import replaced


@dataclass(frozen=True, slots=True)
class Bound:
    """One meaning that a name may have; `when`: why it may not have it, empty if it surely does."""

    meaning: Meaning
    when: str = ""


@dataclass(slots=True)
class Scope:
    """The names, each with its possible meanings, the likeliest last.

    `disturbed`: why there may be other names; `disturbances`: the same for what one name stands
    for. `stops`: why the end of the body may not be reached.
    """

    names: dict[str, list[Bound]] = field(default_factory=dict)
    disturbed: list[str] = field(default_factory=list)
    disturbances: dict[str, list[str]] = field(default_factory=dict)
    stops: list[str] = field(default_factory=list)


ExportsOf = Callable[[ImportAll], Sequence[Bind] | None]
"""What `from module import *` binds; None where the module is not in the tree."""


def scope_of(body: Iterable[Statement], exports_of: ExportsOf) -> Scope:
    """The scope after these statements."""
    scope = Scope()
    for statement in body:
        if isinstance(statement, Bind):
            _bind(scope, statement)
        elif isinstance(statement, Extend):
            _extend(scope, statement)
        elif isinstance(statement, ImportAll):
            exported = exports_of(statement)
            if exported is None:
                dots = "." * statement.level
                scope.disturbed.append(f"`from {dots}{statement.module} import *` was not followed")
            for binding in exported or ():
                _bind(scope, binding)
        elif isinstance(statement, Unbind):
            _unbind(scope, statement)
        elif isinstance(statement, Stop):
            scope.stops.append(statement.reason)
        elif statement.name:
            scope.disturbances.setdefault(statement.name, []).append(statement.reason)
        else:
            scope.disturbed.append(statement.reason)
    return scope


def _bind(scope: Scope, statement: Bind) -> None:
    meaning = statement.meaning
    before = scope.names.get(statement.name)
    if before and not isinstance(meaning, (Function, Class, Import)):
        # `test_x = slow(test_x)` means the test_x from before.
        meaning = replaced(meaning, {statement.name: before[-1].meaning})
    bound = Bound(meaning, statement.when or _stopped(scope))
    if before and statement.when.startswith(IN_HANDLER):
        before.insert(0, bound)  # what the `try` binds is likelier
    elif statement.when:
        scope.names.setdefault(statement.name, []).append(bound)
    else:
        scope.names[statement.name] = [bound]


def _stopped(scope: Scope) -> str:
    return f"after {scope.stops[0]}" if scope.stops else ""


def _extend(scope: Scope, statement: Extend) -> None:
    before: list[Bound] = scope.names.get(statement.name) or [Bound(Opaque())]
    more: Meaning = Choice((statement.more, Items(()))) if statement.when else statement.more
    scope.names[statement.name] = [
        Bound(Joined((bound.meaning, more)), bound.when) for bound in before
    ]


def _unbind(scope: Scope, statement: Unbind) -> None:
    if not statement.when:
        scope.names.pop(statement.name, None)
    else:
        doubted = [Bound(bound.meaning, statement.when) for bound in scope.names[statement.name]]
        scope.names[statement.name] = doubted
