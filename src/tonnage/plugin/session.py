"""The user's own session: its options and configuration, and who runs its tests."""

import os

import pytest

from tonnage.config import Settings, load_settings
from tonnage.execute.settled import Settled
from tonnage.markers.vocabulary import Vocabulary
from tonnage.plugin.early import EARLY, one_process_option
from tonnage.plugin.options import read_options

_SETTINGS = pytest.StashKey[Settings]()


def settle(config: pytest.Config) -> Settled:
    """Read the project's configuration; raises ConfigError."""
    settings = config.stash[_SETTINGS] = load_settings(config.rootpath)
    given = getattr(config.option, "tonnage_gpus", None)
    gpus = given or os.environ.get("TONNAGE_GPUS") or settings.gpus
    where = "--gpus" if given else "TONNAGE_GPUS" if os.environ.get("TONNAGE_GPUS") else _GPUS_KEY
    return Settled(settings.vocabulary, gpus, where, settings.expensive_fixtures)


def take_over(config: pytest.Config, vocabulary: Vocabulary, notices: list[str]) -> None:
    """Register what runs, or plans, this session's tests in pytest's place, if anything does."""
    settings = config.stash[_SETTINGS]
    options = read_options(config, settings)
    manager = config.pluginmanager
    if options.dry_run:
        from tonnage.plugin.dry_run import DryRunPlugin

        manager.register(DryRunPlugin(config, options, settings), "tonnage-dry-run")
        return
    if options.pack and EARLY in config.stash:
        from tonnage.plugin.pack import PackPlugin

        manager.register(PackPlugin(config, options, settings, notices), "tonnage-pack")
    elif options.pack and (flag := one_process_option(config.option)):
        line = f"--pack is left aside: {flag} needs all tests in one process"
        manager.register(_Header([line]), "tonnage-header")


class _Header:
    """Lines for the header of the report."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def pytest_report_header(self) -> list[str]:
        return [f"tonnage: {line}" for line in self._lines]


_GPUS_KEY = "[tool.tonnage] gpus"
