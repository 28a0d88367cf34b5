"""What rules about a whole file need to know of its code, gathered in the one walk over it.

Only what a rule may object to is kept, so that a file's facts stay small: `watch` names the words
that make a line worth a look.
"""

from dataclasses import dataclass

from tonnage.lint.model import Place

Literal = object
"""A written-out value (text, number, bool, None, tuple of them) or `model.UNREAD`."""


@dataclass(frozen=True, slots=True)
class CallFact:
    """A call of a watched function: `name` in full, whatever it is called in this file.

    `function` is the path of the test, fixture or helper around it, such as ("TestX", "test_y");
    empty at module level. `in_loop`: in the body of a loop of that function.
    """

    name: str
    args: tuple[Literal, ...]
    kwargs: tuple[tuple[str, Literal], ...]
    function: tuple[str, ...]
    place: Place
    in_loop: bool = False


@dataclass(frozen=True, slots=True)
class TextFact:
    """A literal text that names a fixed file under /tmp."""

    value: str
    function: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class PortFact:
    """A port number written out: `port=8000`, `PORT = 8000`, ("localhost", 8000), "host:8000"."""

    port: int
    function: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class EnvironmentFact:
    """A variable of this process's environment that is set or removed without monkeypatch.

    `name` and `value` are None where they are not written out. A dict given to a child process
    (`env={...}`) is `is_for_child`: it changes nothing here, but may hold a name that a rule looks
    for.
    """

    name: str | None
    function: tuple[str, ...]
    place: Place
    is_for_child: bool = False
    value: str | None = None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """All facts of one file, each kind in the order of the file."""

    calls: tuple[CallFact, ...] = ()
    texts: tuple[TextFact, ...] = ()
    ports: tuple[PortFact, ...] = ()
    environment: tuple[EnvironmentFact, ...] = ()


NO_FACTS = FileFacts()
