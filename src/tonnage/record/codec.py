"""Recorded values as JSON data and back, by the declared types of their fields. Pure.

A new field or a new kind of event needs nothing here. What a newer version wrote and this one does
not know is left out and counted; a field that an older version did not have takes its default.
An event is an object with its class name under `is`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tonnage.record import events

T = TypeVar("T")

KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(events.Event)}
_PLAIN = (str, int, float, bool, NoneType)


@dataclass(slots=True)
class Unknown:
    """How much of what was read this version does not know."""

    events: int = 0
    fields: int = 0


def line_of(event: events.Event) -> str:
    """The event as one line of ASCII, with its end."""
    kind: Any = type(event)
    names, values_of = _fields(kind)
    # Thousands a minute: the encoder walks plain values and tuples itself, `to_data` the others.
    return _encode(dict(zip(names, (kind.__name__, *values_of(event)), strict=True))) + "\n"


def event_of(data: Any, unknown: Unknown) -> events.Event | None:
    """The event of a decoded line; None, counted in `unknown`, when it is of a kind not known.

    Raises ValueError when `data` cannot be an event of any version.
    """
    if not isinstance(data, dict) or not isinstance(name := data.get("is"), str):
        raise ValueError("not an event")  # noqa: TRY004 - the data is wrong, not a program
    kind = KINDS.get(name)
    if kind is not None:
        try:
            return cast(
                events.Event, _record(kind, {k: v for k, v in data.items() if k != "is"}, unknown)
            )
        except ValueError:
            pass  # such as an outcome that came later
    unknown.events += 1
    return None


def to_data(value: Any) -> Any:
    """A value as JSON data: objects for dataclasses and mappings, arrays for collections."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        kind: Any = type(value)
        return {name: to_data(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, tuple | list):
        return [to_data(each) for each in value]
    if isinstance(value, frozenset | set):
        return sorted(to_data(each) for each in value)
    if isinstance(value, Mapping):
        return {key: to_data(each) for key, each in value.items()}
    raise TypeError(f"{type(value).__name__} cannot be recorded")


def from_data(kind: type[T], data: Any, unknown: Unknown) -> T:
    """The value of type `kind` that `to_data` made. Raises ValueError when it cannot be one."""
    return cast(T, _reader(cast(Any, kind))(data, unknown))


_encode = json.JSONEncoder(separators=(",", ":"), default=to_data).encode
_Reader = Callable[[Any, Unknown], Any]


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


@cache
def _fields(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    names = _names(kind)
    return ("is", *names), attrgetter(*names)


@cache
def _readers(kind: Any) -> dict[str, _Reader]:
    hints = get_type_hints(kind)
    return {name: _reader(hints[name]) for name in _names(kind)}


@cache
def _required(kind: Any) -> frozenset[str]:
    return frozenset(
        each.name
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    )


def _record(kind: Any, data: Any, unknown: Unknown) -> Any:
    if not isinstance(data, dict) or not _required(kind) <= data.keys():
        raise ValueError(f"not a {kind.__name__}")
    readers = _readers(kind)
    values = {name: readers[name](each, unknown) for name, each in data.items() if name in readers}
    unknown.fields += len(data) - len(values)
    return kind(**values)


@cache
def _reader(kind: Any) -> _Reader:
    """What turns JSON data into a value of this type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda data, _: data
    if origin in (Union, UnionType):
        return _any_of(tuple(map(_reader, arguments)))
    if origin is Literal:
        return _checked(lambda data: data in arguments)
    if origin is tuple and arguments[-1:] != (...,):
        return _fixed_tuple(tuple(map(_reader, arguments)))
    if origin in (tuple, list, frozenset):
        return _collection(origin, _reader(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_reader(arguments[1]))
    if is_dataclass(kind) and isinstance(kind, type):
        return lambda data, unknown: _record(kind, data, unknown)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda data, _: kind(data)
    if kind is float:
        return _checked(lambda data: type(data) in (float, int))
    if kind in _PLAIN:
        return _checked(lambda data: type(data) is kind)
    raise TypeError(f"{kind} cannot be recorded")


def _checked(is_right: Callable[[Any], bool]) -> _Reader:
    def read(data: Any, _: Unknown) -> Any:
        if not is_right(data):
            raise ValueError(f"{data!r} is of another type")
        return data

    return read


def _any_of(readers: tuple[_Reader, ...]) -> _Reader:
    def read(data: Any, unknown: Unknown) -> Any:
        for reader in readers:
            try:
                return reader(data, unknown)
            except ValueError:
                continue
        raise ValueError(f"{data!r} is of no possible type")

    return read


def _fixed_tuple(readers: tuple[_Reader, ...]) -> _Reader:
    def read(data: Any, unknown: Unknown) -> Any:
        if not isinstance(data, list) or len(data) != len(readers):
            raise ValueError(f"{data!r} is not {len(readers)} values")
        return tuple(reader(each, unknown) for reader, each in zip(readers, data, strict=True))

    return read


def _collection(kind: Callable[[list[Any]], Any], reader: _Reader) -> _Reader:
    def read(data: Any, unknown: Unknown) -> Any:
        if not isinstance(data, list):
            raise ValueError(f"{data!r} is no array")  # noqa: TRY004 - as all others here
        return kind([reader(each, unknown) for each in data])

    return read


def _mapping(reader: _Reader) -> _Reader:
    def read(data: Any, unknown: Unknown) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{data!r} is no object")  # noqa: TRY004 - as all others here
        return {key: reader(each, unknown) for key, each in data.items()}

    return read
