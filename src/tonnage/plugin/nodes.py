"""pytest-xdist's protocol between a session and its workers, as far as other plugins use it.

Plugins that keep data in the processes of tests (coverage, snapshots, seeds, metadata) were taught
by pytest-xdist how to send it back: `pytest_configure_node` fills a worker's `workerinput` before
it starts, `pytest_testnodedown` reads its `workeroutput` when it is done. Tonnage speaks the same,
with or without pytest-xdist installed.
"""

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tonnage.execute.handover import BENCHMARKS
from tonnage.execute.plain_data import from_text, to_text


class Gateway:
    """The connection to a node, which for us is this machine and this interpreter."""

    id = "tonnage"

    def _rinfo(self) -> SimpleNamespace:
        return SimpleNamespace(
            platform=sys.platform, version_info=tuple(sys.version_info), executable=sys.executable
        )


@dataclass
class Node:
    """What hook implementations find in place of xdist's worker. Open: plugins set attributes."""

    config: pytest.Config
    workerinput: dict[str, Any]
    gateway: Gateway = field(default_factory=Gateway)
    nodemanager: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(roots=[]))


class Nodes:
    """The nodes of a session: one description for all its processes, which are forks of one."""

    def __init__(self, config: pytest.Config, *, workers: int, run_id: str) -> None:
        self._config = config
        self._worker_input: dict[str, Any] = {
            "workerid": "gw0",
            "workercount": workers,
            "testrunuid": run_id,
            "mainargv": sys.argv,
        }

    def configure(self) -> str:
        """What the plugins of this session give their like in the processes of tests."""
        # How many nodes there are to wait for; too late for pytest-xdist to start any.
        self._config.option.numprocesses = 1
        _call(self._config, "pytest_configure_node", node=Node(self._config, self._worker_input))
        return to_text(self._worker_input)

    def are_awaited(self) -> bool:
        """Whether a plugin of this session wants to know what the processes publish."""
        hook = getattr(self._config.hook, "pytest_testnodedown", None)
        return hook is not None and bool(hook.get_hookimpls())

    def down(self, worker_output: str) -> None:
        """Pass on what the plugins of a process published at its end."""
        node: Any = Node(self._config, self._worker_input)
        node.workeroutput = from_text(worker_output)
        add_benchmarks(self._config, node.workeroutput.pop(BENCHMARKS, []))
        _call(self._config, "pytest_testnodedown", node=node, error=None)


def add_benchmarks(config: pytest.Config, measured: list[dict[str, Any]]) -> None:
    """Give pytest-benchmark's session what was measured in a test process.

    It reports objects of its own class, each made from the fixture that measured.
    """
    for data in measured:
        stats = data.pop("stats")
        metadata: Any = sys.modules["pytest_benchmark.stats"].Metadata
        fixture = SimpleNamespace(cprofile_stats=None, **data)
        benchmark = metadata(fixture, stats["iterations"], data["options"])
        benchmark.stats.data.extend(stats["data"])
        config._benchmarksession.benchmarks.append(benchmark)  # type: ignore[attr-defined]


def _call(config: pytest.Config, name: str, **arguments: Any) -> None:
    """Call a hook of pytest-xdist's, if anybody has one of this name."""
    hook = getattr(config.hook, name, None)
    if hook is not None:
        hook(**arguments)
