"""The tests of a reading as data and as text: for `--list-tests`, and for what rules cannot judge.

Nothing here needs the rules or the project's vocabulary.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tonnage.lint.model import UNREAD, DeclaredTest, PlacedMark
from tonnage.lint.source import Reading


def listed(reading: Reading) -> dict[str, Any]:
    """The tests and the files with something to say, as JSON can say it."""
    return {
        "tests": [_test(test) for test in reading.tests],
        "files": [
            {
                "path": file.path,
                "problems": [
                    {"reason": problem.reason, "line": problem.place.line}
                    for problem in file.problems
                ],
                "unknown": list(file.unknown),
            }
            for file in reading.files
            if file.problems or (file.is_collected and file.unknown)
        ],
    }


def as_json(shares: Sequence[Mapping[str, Any]], root: str) -> str:
    """All that was listed, as one document; paths are relative to `root`."""
    document = {
        "root": root,
        "tests": [test for share in shares for test in share["tests"]],
        "files": [file for share in shares for file in share["files"]],
    }
    return json.dumps(document) + "\n"


def as_text(shares: Sequence[Mapping[str, Any]]) -> str:
    """A line each: node id, where it is defined, its marks."""
    lines = []
    for share in shares:
        for test in share["tests"]:
            marks = " ".join(_called(mark) for mark in test["marks"])
            place = f"{test['path']}:{test['line']}"
            lines.append(f"{test['id']}  {place}  {marks}".rstrip())
            lines += [f"    not known: {reason}" for reason in test["unknown"]]
            lines += [f"    may have {name}: {reason}" for name, reason in test["possible"]]
            lines += [f"    may not be collected: {reason}" for reason in test["maybe"]]
        for file in share["files"]:
            lines += [f"{file['path']}:{p['line']}: {p['reason']}" for p in file["problems"]]
            lines += [f"{file['path']}: may have more tests: {why}" for why in file["unknown"]]
    return "".join(f"{line}\n" for line in lines)


def _test(test: DeclaredTest) -> dict[str, Any]:
    return {
        "id": test.node_id,
        "path": test.place.path,
        "line": test.place.line,
        "marks": [_mark(mark) for mark in test.marks],
        "cases": [
            {"id": case.id, "marks": [_mark(mark) for mark in case.marks]} for case in test.cases
        ],
        "unknown": list(test.unknown),
        "possible": [list(pair) for pair in test.possible],
        "maybe": list(test.maybe),
    }


def _mark(mark: PlacedMark) -> dict[str, Any]:
    return {
        "name": mark.value.name,
        "args": [_value(value) for value in mark.value.args],
        "kwargs": {name: _value(value) for name, value in mark.value.kwargs.items()},
        "level": mark.level.value,
        "line": mark.place.line if mark.place else None,
    }


def _value(value: object) -> Any:
    """What JSON can say of an argument; its Python text, as `{"python": ...}`, where it cannot."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return {"python": "?" if value is UNREAD else repr(value)}


def _called(mark: Mapping[str, Any]) -> str:
    arguments = [_shown(value) for value in mark["args"]]
    arguments += [f"{name}={_shown(value)}" for name, value in mark["kwargs"].items()]
    return f"{mark['name']}({', '.join(arguments)})" if arguments else str(mark["name"])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value["python"]) if isinstance(value, dict) else repr(value)
