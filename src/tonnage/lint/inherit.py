"""The classes a class inherits from, across the files of the tree, in Python's order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tonnage.lint.evaluate import Evaluator
from tonnage.lint.known import Known, OneOf, Outside, Plain, TheClass, Unknown
from tonnage.lint.scopes import Bound, Scope, scope_of
from tonnage.lint.tree import Tree

_TEST_CASES = frozenset(
    {
        "unittest.TestCase",
        "unittest.case.TestCase",
        "unittest.IsolatedAsyncioTestCase",
        "unittest.async_case.IsolatedAsyncioTestCase",
        "numpy.testing.TestCase",
    }
)
# Bases outside the tree that bring neither tests nor marks nor an __init__.
_INERT = frozenset({"builtins.object", "abc.ABC", "typing.Generic", "typing_extensions.Generic"})
# Bases outside the tree that bring an __init__ or __new__, so that pytest does not collect.
_WITH_INIT_MODULES = frozenset({"builtins", "enum", "collections", "dataclasses"})
_WITH_INIT = frozenset({"typing.NamedTuple", "typing.Protocol", "typing_extensions.Protocol"})


@dataclass(frozen=True, slots=True)
class Lineage:
    """A class with its bases, itself first.

    `doubts`: why bases are not known. `has_init`: a base outside the tree brings an `__init__`.
    """

    classes: tuple[TheClass, ...]
    scopes: tuple[Scope, ...]
    is_test_case: bool
    has_init: bool
    is_abc: bool
    doubts: tuple[str, ...]

    def find(self, name: str) -> tuple[list[Bound], TheClass, Scope] | None:
        """The nearest meanings of a name, with the class they stand in."""
        for known, scope in zip(self.classes, self.scopes, strict=True):
            bounds = scope.names.get(name)
            if bounds:
                return bounds, known, scope
        return None


class Lineages:
    """Finds lineages, each once."""

    def __init__(self, tree: Tree, evaluator: Evaluator) -> None:
        self._tree = tree
        self._evaluator = evaluator
        self._found: dict[int, tuple[TheClass, Lineage]] = {}
        self._scopes: dict[int, tuple[TheClass, Scope]] = {}

    def scope(self, known: TheClass) -> Scope:
        """The names in the body of a class itself."""
        key = id(known.outline)
        if key not in self._scopes:
            body = scope_of(
                known.outline.body, lambda statement: self._tree.exports(known.module, statement)
            )
            self._scopes[key] = (known, body)  # kept alive: the key is an identity
        return self._scopes[key][1]

    def of(self, known: TheClass) -> Lineage:
        """The lineage of a class."""
        key = id(known.outline)
        if key not in self._found:
            self._found[key] = (known, self._lineage(known))
        return self._found[key][1]

    def _lineage(self, known: TheClass) -> Lineage:
        order = self._linear(known, ())
        classes = tuple(base for base in order if isinstance(base, TheClass))
        outside = [base.dotted for base in order if isinstance(base, Outside)]
        doubts = [base.reason for base in order if isinstance(base, Unknown)]
        doubts += [
            f"the base class `{dotted}` is not in the files that were read"
            for dotted in outside
            if not _is_understood(dotted)
        ]
        scopes = tuple(self.scope(base) for base in classes)
        for base, scope in zip(classes, scopes, strict=True):
            doubts += scope.disturbed
            doubts += base.module.scope.disturbances.get(base.outline.name, [])
        return Lineage(
            classes,
            scopes,
            any(dotted.endswith("TestCase") for dotted in outside),
            any(map(_brings_init, outside)),
            "abc.ABC" in outside or any(map(self._has_abc_meta, classes)),
            tuple(dict.fromkeys(doubts)),
        )

    def _has_abc_meta(self, known: TheClass) -> bool:
        metaclass = dict(known.outline.keywords).get("metaclass")
        if metaclass is None:
            return False
        meant = self._evaluator.of(metaclass, known.module)
        return isinstance(meant, Outside) and meant.dotted.endswith("ABCMeta")

    def _linear(self, known: TheClass, below: tuple[TheClass, ...]) -> list[Known]:
        """C3, with what is not known or not in the tree as leaves; depth first where C3 fails."""
        if known in below or len(below) > 50:
            return [Unknown(f"`{known.outline.name}` inherits from itself")]
        bases: list[Known] = list(self._bases(known))
        lines: list[list[Known]] = [
            self._linear(base, (*below, known)) if isinstance(base, TheClass) else [base]
            for base in bases
        ]
        return [known, *(_merged([*lines, bases]) or _depth_first(lines))]

    def _bases(self, known: TheClass) -> Iterator[Known]:
        for term in known.outline.bases:
            base = self._evaluator.of(term, known.module)
            if isinstance(base, OneOf):
                # `try: from fast import Base / except ImportError: Base = object`
                yield next(
                    (option for option in base.options if isinstance(option, TheClass)),
                    Unknown(f"the base of `{known.outline.name}` depends on a condition"),
                )
            elif isinstance(base, Plain):
                yield Unknown(f"a base of `{known.outline.name}` is computed")
            elif isinstance(base, (TheClass, Outside, Unknown)):
                yield base
            else:
                yield Unknown(f"a base of `{known.outline.name}` is no class of the tree")
        if "metaclass" in dict(known.outline.keywords) and not self._has_abc_meta(known):
            yield Unknown(f"`{known.outline.name}` has a metaclass")


def _merged(lines: Sequence[list[Known]]) -> list[Known] | None:
    """The merge of the C3 linearisation; None where there is none."""
    pending = [list(line) for line in lines if line]
    merged: list[Known] = []
    while pending:
        for line in pending:
            head = line[0]
            if not any(head in other[1:] for other in pending):
                break
        else:
            return None
        merged.append(head)
        pending = [rest for line in pending if (rest := line[1:] if line[0] == head else line)]
    return merged


def _depth_first(lines: Sequence[list[Known]]) -> list[Known]:
    order: list[Known] = []
    for line in lines:
        order += [base for base in line if base not in order]
    return order


def _is_understood(dotted: str) -> bool:
    return dotted in _TEST_CASES or dotted in _INERT or _brings_init(dotted)


def _brings_init(dotted: str) -> bool:
    root = dotted.partition(".")[0]
    return dotted in _WITH_INIT or (root in _WITH_INIT_MODULES and dotted not in _INERT)
