"""One pytest mark as plain data, so that everything about marks works without pytest."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MarkValue:
    """A mark as a test carries it: `pytest.mark.<name>(*args, **kwargs)`."""

    name: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
