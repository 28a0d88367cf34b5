"""What happens once an option or [tool.tonnage] asks: markers, selection, packing."""

import os
from typing import Any

import pytest

from tonnage.config import load_settings
from tonnage.errors import TonnageError
from tonnage.plugin.options import Options, read_options

# Options under which pytest talks to its user, or shows instead of running: they need one process.
_ONE_PROCESS = {
    "usepdb": "--pdb",
    "trace": "--trace",
    "setupshow": "--setup-show",
    "setuponly": "--setup-only",
    "setupplan": "--setup-plan",
}


def before_main(config: pytest.Config) -> None:
    """Keep pytest-xdist from distributing a run that is packed."""
    option = config.option
    if getattr(option, "numprocesses", None) or getattr(option, "tx", None):
        workers = getattr(option, "numprocesses", None)
        if workers and option.tonnage_slots is None:
            option.tonnage_slots = str(workers)
        option.numprocesses, option.dist, option.tx = None, "no", []
        config.stash[_NOTICES] = ["--pack runs the tests; pytest-xdist's -n sets only the slots"]


def activate(config: pytest.Config) -> None:
    """Register the vocabulary's markers and the plugins that the options ask for.

    Raises pytest.UsageError with the text of any mistake in options or configuration.
    """
    try:
        settings = load_settings(config.rootpath)
        options = read_options(config, settings, dict(os.environ))
        for line in settings.vocabulary.pytest_lines():
            config.addinivalue_line("markers", line)
        if config.option.help or config.option.version or config.option.markers:
            return
        is_worker = hasattr(config, "workerinput")
        if options.selects:
            from tonnage.plugin.select import SelectPlugin

            config.pluginmanager.register(SelectPlugin(config, options, settings), "tonnage-select")
        if options.dry_run and not is_worker:
            from tonnage.plugin.dry_run import DryRunPlugin

            config.pluginmanager.register(DryRunPlugin(config, options, settings))
        elif options.pack and not is_worker and not config.option.collectonly:
            _pack(config, options, settings)
    except TonnageError as error:
        raise pytest.UsageError(str(error)) from None


def _pack(config: pytest.Config, options: Options, settings: Any) -> None:
    notices = config.stash.get(_NOTICES, [])
    for name, flag in _ONE_PROCESS.items():
        if getattr(config.option, name, False):
            config.pluginmanager.register(
                _Header([f"--pack is left aside: {flag} needs all tests in one process"]),
                "tonnage-header",
            )
            return
    from tonnage.plugin.pack import PackPlugin

    plugin = PackPlugin(config, options, settings, notices)
    config.pluginmanager.register(plugin, "tonnage-pack")


class _Header:
    """Lines for the header of the report."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def pytest_report_header(self) -> list[str]:
        return [f"tonnage: {line}" for line in self._lines]


_NOTICES = pytest.StashKey[list[str]]()
