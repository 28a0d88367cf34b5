"""What one file says by itself, as plain data: the names it binds, and to what, in order.

An outline depends on nothing but the file's text (and the version of Python that parses it), so it
is computed once per content. What the names mean, across files, is for `names` and `collecting`.

Expressions are kept as far as marks, base classes and decorators need them:

    pytest.mark.gpu_1               Name("pytest.mark.gpu_1")
    pytest.mark.timeout(60)         Call(Name("pytest.mark.timeout"), (Value(60),))
    [slow, *others]                 Items((Name("slow"), Starred(Name("others"))))
    [slow] + others                 Joined((Items(...), Name("others")))
    slow if CUDA else []            Choice((Name("slow"), Items(())))
    [pytest.param(x) for x in y]    Repeated(Call(...))
    anything else                   Value(UNREAD) if it cannot hold a mark, else Opaque()
"""

from dataclasses import dataclass

from tonnage.lint.facts import NO_FACTS, FileFacts

IN_HANDLER = "inside `except`"
"""How the reason begins why what stands in an exception handler may not happen."""

Span = tuple[int, int, int, int]
"""First line, first column, last line, one past the last column; all from 1."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name, or attributes of one."""

    dotted: str
    at: Span


@dataclass(frozen=True, slots=True)
class Call:
    """A call; the keyword of `**more` is empty."""

    function: "Meaning"
    args: tuple["Meaning", ...]
    kwargs: tuple[tuple[str, "Meaning"], ...]
    at: Span


@dataclass(frozen=True, slots=True)
class Value:
    """Plain data: a scalar or a tuple of them; UNREAD where only that much is known."""

    value: object


@dataclass(frozen=True, slots=True)
class Items:
    """A list, tuple or set of which at least one item is not plain data."""

    items: tuple["Meaning", ...]


@dataclass(frozen=True, slots=True)
class Starred:
    """`*term` in a list or call."""

    term: "Meaning"


@dataclass(frozen=True, slots=True)
class Joined:
    """Lists one after the other."""

    parts: tuple["Meaning", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these, which one is not known."""

    options: tuple["Meaning", ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A list of so many of these."""

    term: "Meaning"


@dataclass(frozen=True, slots=True)
class Opaque:
    """An expression that can be anything."""


Term = Name | Call | Value | Items | Starred | Joined | Choice | Repeated | Opaque


@dataclass(frozen=True, slots=True)
class Function:
    """A function. `at` spans its name.

    `parameters` are those without a default, by name. `returns`: what it gives back, kept where
    `speaks_of_marks`: its body mentions marks or parameters, and so it may make some.
    """

    name: str
    at: Span
    decorators: tuple[Term, ...] = ()
    parameters: tuple[str, ...] = ()
    returns: tuple["Meaning", ...] = ()
    is_generator: bool = False
    speaks_of_marks: bool = False


@dataclass(frozen=True, slots=True)
class Class:
    """A class. `at` spans its name; `keywords` are such as `metaclass=`."""

    name: str
    at: Span
    bases: tuple[Term, ...] = ()
    keywords: tuple[tuple[str, Term], ...] = ()
    decorators: tuple[Term, ...] = ()
    body: tuple["Statement", ...] = ()


@dataclass(frozen=True, slots=True)
class Import:
    """`import module` or `from module import attribute`, `level` dots before the module."""

    module: str
    attribute: str = ""
    level: int = 0


Meaning = Function | Class | Import | Term


@dataclass(frozen=True, slots=True)
class Bind:
    """A name gets a meaning. `when`: why this may not happen, empty when it certainly does."""

    name: str
    meaning: Meaning
    when: str = ""


@dataclass(frozen=True, slots=True)
class Extend:
    """A list gets longer: `name += ...`, `name.append(...)`, `name.extend(...)`."""

    name: str
    more: Term
    when: str = ""


@dataclass(frozen=True, slots=True)
class Unbind:
    """`del name`."""

    name: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class ImportAll:
    """`from module import *`."""

    module: str
    level: int = 0
    when: str = ""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Names are made in a way that is not followed, such as `globals()[name] = ...`.

    `name`: what is changed, where that is one class or function; empty: the scope itself.
    """

    reason: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """The rest of the file may not be reached, such as after `pytest.importorskip`."""

    reason: str


Statement = Bind | Extend | Unbind | ImportAll | Dynamic | Stop


@dataclass(frozen=True, slots=True)
class HookMark:
    """A mark that a hook in a conftest gives to tests.

    To all below the conftest, or to those whose node id (without parameters) contains all of
    `parts`. `doubt`: why it is not known to which.
    """

    mark: Term
    parts: tuple[str, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Ignore:
    """A `# tonnage: ignore[CODE, ...]` comment; without `codes` it silences all.

    `line` is the one it silences: its own, or the next with code where it stands alone;
    `is_inside`: that is in a class or function. `at` spans the comment to the end of its codes.
    """

    line: int
    codes: tuple[str, ...]
    is_inside: bool
    at: Span


@dataclass(frozen=True, slots=True)
class Outline:
    """One file. `fault`: why there is nothing more than this, with its place."""

    body: tuple[Statement, ...] = ()
    hooks: tuple[HookMark, ...] = ()
    facts: FileFacts = NO_FACTS
    ignores: tuple[Ignore, ...] = ()
    fault: tuple[str, Span] | None = None
