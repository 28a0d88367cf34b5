"""pytest-xdist beside us: of the two that want to run the tests, `--pack` comes first.

What its options ask for is taken as far as it means anything here; and plugins that look whether
it is there, to send their data between processes, find it there even when it is not installed.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tonnage.errors import OptionError

# xdist's options as they are when it is not asked for anything.
_AT_REST: dict[str, Any] = {
    "numprocesses": None,
    "maxprocesses": None,
    "dist": "no",
    "distload": False,
    "tx": [],
}
_NOBODY = object()


@contextmanager
def presented_as_distributed(options: Any) -> Generator[None]:
    """While this lasts, the options read as those of a session whose tests run elsewhere.

    pytest-cov decides by them, before conftests are loaded, whether to gather data or to own it.
    """
    before = getattr(options, "dist", _NOBODY)
    options.dist = "load"
    try:
        yield
    finally:
        if before is _NOBODY:
            del options.dist
        else:
            options.dist = before


def take_precedence(config: pytest.Config) -> list[str]:
    """Put pytest-xdist's options to rest, before it acts on them; what to tell about it.

    `-n` sets the slots, where `--slots` does not; both mean tests at a time. Raises OptionError
    for the one that cannot be put to rest.
    """
    option = config.option
    if getattr(option, "looponfail", False):
        raise OptionError(
            "pytest-xdist's loop on failing tests runs pytest itself, again and again",
            where="--looponfail with --pack",
            remedy="Leave one of the two away.",
        )
    asked = {
        name: value for name in _AT_REST if (value := getattr(option, name, None)) not in (None, 0)
    }
    workers = asked.pop("numprocesses", None)
    most = asked.pop("maxprocesses", None)
    if workers and getattr(option, "tonnage_slots", None) is None:
        option.tonnage_slots = _slots(workers, most)
    for name, value in _AT_REST.items():
        setattr(option, name, value)
    _stand_in(config.pluginmanager)
    if workers:
        return ["--pack runs the tests; pytest-xdist's -n sets only the slots"]
    if any(value != _AT_REST[name] for name, value in asked.items()):
        return ["--pack runs the tests; pytest-xdist's --dist and --tx are left aside"]
    return []


def _slots(workers: int | str, most: int | None) -> str:
    if isinstance(workers, str):  # "auto" or "logical"
        return "auto"
    return str(min(workers, most or workers))


def _stand_in(manager: pytest.PytestPluginManager) -> None:
    """Let `hasplugin("xdist")` be true: its protocol is spoken here (plugin.nodes)."""
    if not manager.hasplugin("xdist"):
        manager.unblock("xdist")  # -p no:xdist asks for another runner not to be there
        manager.register(_XdistStandIn(), "xdist")
        known = getattr(manager.hook, "pytest_configure_node", None)
        if known is None or not known.has_spec():
            manager.add_hookspecs(_Hooks)


class _XdistStandIn:
    """Nothing but a name."""


class _Hooks:
    """The hooks of pytest-xdist's that other plugins implement; the first two are called."""

    @pytest.hookspec
    def pytest_configure_node(self, node: Any) -> None: ...

    @pytest.hookspec
    def pytest_testnodedown(self, node: Any, error: Any) -> None: ...

    @pytest.hookspec
    def pytest_testnodeready(self, node: Any) -> None: ...

    @pytest.hookspec
    def pytest_handlecrashitem(self, crashitem: str, report: Any, sched: Any) -> None: ...

    @pytest.hookspec
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None: ...

    @pytest.hookspec(firstresult=True)
    def pytest_xdist_auto_num_workers(self, config: pytest.Config) -> int | None: ...
