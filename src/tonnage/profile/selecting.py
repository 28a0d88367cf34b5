"""A pytest plugin: writes down what a `pytest --collect-only` selects, for the profiler.

It runs in the collecting process, so that whatever collection imports stays out of ours.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tonnage.execute import pytest_internals
from tonnage.execute.collected import marks_of

FILE_VARIABLE = "TONNAGE_PROFILE_SELECTION"


def pytest_configure(config: pytest.Config) -> None:
    """Take part in the session."""
    config.pluginmanager.register(_Selecting(Path(os.environ[FILE_VARIABLE])))


class _Selecting:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._collected: dict[Any, list[pytest.Item | pytest.Collector]] = {}
        self._deselected: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what is in each file and class."""
        for node in report.result or ():
            # Where node ids are given, the session reports tests as if they were its own.
            if node.parent is not None and node.parent.nodeid == report.nodeid:
                self._collected.setdefault(node.parent, []).append(node)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Remember what options leave out."""
        self._deselected += [item.nodeid for item in items]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the file."""
        config = session.config
        items = [
            item
            for file in dict.fromkeys(map(_file_of, session.items))
            if file is not None
            for item in self._items_in(file)
        ]
        files: dict[str, list[dict[str, Any]]] = {}
        for item in items:  # all of them live, so that no number stands for two marks
            files.setdefault(str(item.path), []).append(_standing(item))
        found = {
            "root": str(config.rootpath),
            "positional": list(config.option.file_or_dir),
            "deselected": self._deselected,
            "tests": [_test(item) for item in session.items],
            "files": files,
        }
        self._file.write_text(json.dumps(found, default=repr), encoding="utf-8")

    def _items_in(self, node: pytest.Collector) -> Iterator[pytest.Item]:
        """Every test of a file or class, selected or not."""
        children = self._collected.get(node)
        if children is None:
            children = _collect(node)
        for child in children:
            if isinstance(child, pytest.Item):
                yield child
            elif isinstance(child, pytest.Collector):
                yield from self._items_in(child)


def _file_of(item: pytest.Item) -> pytest.File | None:
    return next((node for node in item.listchain() if isinstance(node, pytest.File)), None)


def _collect(node: pytest.Collector) -> list[pytest.Item | pytest.Collector]:
    try:
        return list(node.collect())
    except (Exception, pytest.skip.Exception, pytest.fail.Exception):
        return []  # what cannot be collected holds no test


def _test(item: pytest.Item) -> dict[str, Any]:
    return {
        "node_id": item.nodeid,
        "path": str(item.path),
        "line": item.location[1],
        "skips": pytest_internals.skips(item),
        "marks": [[mark.name, mark.args, mark.kwargs] for mark in marks_of(item)],
        "standing": _standing(item),
    }


def _standing(item: pytest.Item) -> dict[str, Any]:
    """See selection.Standing."""
    holders: dict[str, Any] = {}
    for node, mark in item.iter_markers_with_node():
        holders.setdefault(mark.name, _holder(item, node, mark))
    return {
        "target": _target(item),
        "ids": pytest_internals.case_ids(item),
        "holders": holders,
    }


def _target(item: pytest.Item) -> list[str]:
    """The classes around a test and its function's name."""
    return [*_classes(item), getattr(item, "originalname", None) or item.name]


def _classes(node: pytest.Item | pytest.Collector) -> list[str]:
    return [each.name for each in node.listchain() if isinstance(each, pytest.Class)]


def _holder(item: pytest.Item, node: Any, mark: pytest.Mark) -> list[str] | int | None:
    """Where a mark stands: a function, class or file by its path inside, or a case by a number."""
    callspec = getattr(item, "callspec", None)
    if node is item and callspec is not None and any(mark is each for each in callspec.marks):
        return id(mark)
    if not any(mark is each for each in _written_on(getattr(node, "obj", None))):
        return None
    return _target(item) if node is item else _classes(node)


def _written_on(thing: object) -> list[pytest.Mark]:
    """The marks of a function, class or module itself, without those that a class inherits."""
    thing = getattr(thing, "__func__", thing)
    given: Any = getattr(thing, "__dict__", {}).get("pytestmark", [])
    marks: Any = given if isinstance(given, (list, tuple)) else [given]
    return [getattr(mark, "mark", mark) for mark in marks]
