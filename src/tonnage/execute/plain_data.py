"""What plugins hand from one process to another (xdist's `workerinput`, `workeroutput`) as text.

JSON, with bytes kept. Tuples arrive as lists; a value that is no plain data arrives as its text,
because one plugin's odd value must not cost another plugin its data.
"""

import base64
import json
from typing import Any

_BYTES = "bytes in base64"


def to_text(data: dict[str, Any]) -> str:
    """The data as text; its keys are text too."""
    return json.dumps(data, default=_plain, separators=(",", ":"))


def from_text(text: str) -> dict[str, Any]:
    """The data that `to_text` wrote."""
    data: dict[str, Any] = json.loads(text, object_hook=_restored)
    return data


def _plain(value: object) -> object:
    match value:
        case bytes():
            return {_BYTES: base64.b64encode(value).decode("ascii")}
        case set() | frozenset():
            return list(value)
        case _:
            return str(value)


def _restored(data: dict[str, Any]) -> Any:
    return base64.b64decode(data[_BYTES]) if data.keys() == {_BYTES} else data
