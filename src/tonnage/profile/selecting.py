"""A pytest plugin: writes down what a `pytest --collect-only` selects, for the profiler.

It runs in the collecting process, so that whatever collection imports stays out of ours.
"""

import json
import os
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
        self._cases: dict[str, int] = {}
        self._deselected: list[str] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Count the cases of each test function, deselected ones too."""
        function = _function(item)
        self._cases[function] = self._cases.get(function, 0) + 1

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Remember what options leave out."""
        self._deselected += [item.nodeid for item in items]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the file."""
        config = session.config
        found = {
            "root": str(config.rootpath),
            "positional": list(config.option.file_or_dir),
            "deselected": self._deselected,
            "tests": [self._test(item) for item in session.items],
        }
        self._file.write_text(json.dumps(found, default=repr), encoding="utf-8")

    def _test(self, item: pytest.Item) -> dict[str, Any]:
        callspec = getattr(item, "callspec", None)
        case_marks = list(callspec.marks) if callspec is not None else []
        return {
            "node_id": item.nodeid,
            "path": str(item.path),
            "line": item.location[1],
            "target": _target(item),
            "case": None if callspec is None else callspec.id,
            "cases": self._cases[_function(item)],
            "skips": pytest_internals.skips(item),
            "marks": [[mark.name, mark.args, mark.kwargs] for mark in marks_of(item)],
            "own": [mark.name for mark in item.own_markers if mark not in case_marks],
        }


def _target(item: pytest.Item) -> list[str]:
    """The classes around a test and its function's name."""
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return [*classes, getattr(item, "originalname", None) or item.name]


def _function(item: pytest.Item) -> str:
    return "::".join([str(item.path), *_target(item)])
