"""Outlines as JSON and back: each value a list that starts with the number of its class."""

import json
from dataclasses import fields
from typing import Any

from tonnage.lint import facts, model, outline
from tonnage.lint.model import UNREAD
from tonnage.lint.outline import Outline

# The order is the format: new classes go to the end.
_CLASSES: tuple[type, ...] = (
    outline.Name,
    outline.Call,
    outline.Value,
    outline.Items,
    outline.Starred,
    outline.Joined,
    outline.Choice,
    outline.Repeated,
    outline.Opaque,
    outline.Function,
    outline.Class,
    outline.Import,
    outline.Bind,
    outline.Extend,
    outline.Unbind,
    outline.ImportAll,
    outline.Dynamic,
    outline.Stop,
    outline.HookMark,
    outline.Outline,
    facts.CallFact,
    facts.TextFact,
    facts.PortFact,
    facts.EnvironmentFact,
    facts.FileFacts,
    model.Place,
    outline.Ignore,
)
_NUMBERS = {one: number for number, one in enumerate(_CLASSES)}
_FIELDS = {one: tuple(field.name for field in fields(one)) for one in _CLASSES}


def encode(value: Outline) -> str:
    """The outline as one line of JSON."""
    return json.dumps(value, default=_as_data, separators=(",", ":"))


def decode(text: str | bytes) -> Outline:
    """The outline that was encoded. Raises ValueError where the text is none."""
    try:
        value = _as_value(json.loads(text))
    except (TypeError, IndexError, KeyError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(value, Outline):
        raise ValueError("this is no outline")  # noqa: TRY004 - what is wrong is the text
    return value


def _as_data(value: Any) -> object:
    if value is UNREAD:
        return {"unread": 1}
    kind = type(value)
    return {"is": _NUMBERS[kind], "with": [getattr(value, name) for name in _FIELDS[kind]]}


def _as_value(data: Any) -> Any:
    if isinstance(data, list):
        return tuple([_as_value(item) for item in data])
    if not isinstance(data, dict):
        return data
    if "is" in data:
        kind = _CLASSES[data["is"]]
        return kind(*[_as_value(item) for item in data["with"]])
    return UNREAD
