"""`--pack-rerun FILE`: only the tests that FILE names, for `tonnage rerun`.

A file, since thousands of node ids do not fit on a command line. It filters after every other
selection, so that the arguments of the run which is repeated select what they selected then.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tonnage.errors import OptionError

OPTION = "--pack-rerun"
DEST = "tonnage_pack_rerun"


@dataclass(frozen=True, slots=True)
class Rerun:
    """The tests, or files and directories of tests, to run, by node id; and of which run.

    `node_ids` None: all, as that run did not come to know them.
    """

    parent: str
    node_ids: tuple[str, ...] | None

    def write(self, path: Path) -> None:
        """Write it for the option to read."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_rerun(config: pytest.Config) -> Rerun | None:
    """What the option of a command line asks for; raises OptionError when it cannot be read."""
    given = getattr(config.option, DEST, None)
    if given is None:
        return None
    path = config.invocation_params.dir / given
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        node_ids = data["node_ids"]
        return Rerun(str(data["parent"]), None if node_ids is None else tuple(map(str, node_ids)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(
            f"{given} cannot be used: {error}",
            where=OPTION,
            remedy="This option is for `tonnage rerun`, which writes the file.",
        ) from error


def without_rerun(arguments: Sequence[str]) -> list[str]:
    """A command line without the option."""
    kept: list[str] = []
    is_value = False
    for argument in arguments:
        if not is_value and argument != OPTION and not argument.startswith(f"{OPTION}="):
            kept.append(argument)
        is_value = argument == OPTION
    return kept


class RerunPlugin:
    """Deselects everything else, and passes over files that hold none of the tests."""

    def __init__(self, config: pytest.Config, node_ids: Sequence[str]) -> None:
        self._wanted = frozenset(node_ids)
        files = (node_id.partition("::")[0] for node_id in node_ids)
        self._paths = {os.path.normpath(config.rootpath / file) for file in files}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        # pytest does not ask for what its command line names, which it would otherwise miss.
        if collection_path.suffix != ".py" or self._may_hold(str(collection_path)):
            return None
        return True

    def _may_hold(self, path: str) -> bool:
        return path in self._paths or any(
            path.startswith(f"{wanted}{os.sep}") for wanted in self._paths
        )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        kept: list[pytest.Item] = []
        gone: list[pytest.Item] = []
        for item in items:
            is_wanted = any(node.nodeid in self._wanted for node in item.listchain())
            (kept if is_wanted else gone).append(item)
        if gone:
            config.hook.pytest_deselected(items=gone)
            items[:] = kept
