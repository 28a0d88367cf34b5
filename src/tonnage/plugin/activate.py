"""What happens once an option or [tool.tonnage] asks: markers and selection, in any process.

The user's own session reads options and configuration (plugin.session); the processes of a packed
run are told what came of it, and stay free of what only that reading needs.
"""

import argparse
from collections.abc import Generator
from contextlib import contextmanager, nullcontext

import pytest

from tonnage.errors import OptionError, TonnageError, suggestion
from tonnage.execute.settled import SETTLED, Settled
from tonnage.plugin.beside_xdist import presented_as_distributed, take_precedence
from tonnage.plugin.early import (
    EARLY,
    one_process_option,
    refuse_what_cannot_work,
    start_early,
    will_pack,
)
from tonnage.plugin.rerun import RerunPlugin, read_rerun
from tonnage.plugin.select_options import read_select_options


@contextmanager
def presented(options: argparse.Namespace) -> Generator[None]:
    """While this lasts, show a session that will be packed as one whose tests run elsewhere."""
    with presented_as_distributed(options) if will_pack(options) else nullcontext():
        yield


def before_main(config: pytest.Config) -> None:
    """Keep pytest-xdist from distributing a run that is packed."""
    if one_process_option(config.option) is None:
        try:
            config.stash[NOTICES] = [*take_precedence(config), *_live_logs(config)]
        except TonnageError as error:
            raise pytest.UsageError(str(error)) from None


def _live_logs(config: pytest.Config) -> list[str]:
    if config.pluginmanager.hasplugin("logging") and (
        config.getoption("log_cli_level") or config.getini("log_cli")
    ):
        return ["live logs are not shown while tests run beside one another; reports hold them"]
    return []


def activate(config: pytest.Config) -> None:
    """Register the vocabulary's markers and the plugins that the options ask for.

    Raises pytest.UsageError with the text of any mistake in options or configuration.
    """
    try:
        if SETTLED not in config.stash:
            if will_pack(config.option):
                refuse_what_cannot_work(config.option)
                config.stash[EARLY] = start_early(config)
            from tonnage.plugin.session import settle

            config.stash[SETTLED] = settle(config)
        settled = config.stash[SETTLED]
        for line in settled.vocabulary.pytest_lines():
            config.addinivalue_line("markers", line)
        option = config.option
        if option.help or option.version or option.markers:
            return
        _select(config, settled)
        _check_markers(config)
        if not hasattr(config, "workerinput"):
            from tonnage.plugin.session import take_over

            take_over(config, settled.vocabulary, config.stash.get(NOTICES, []))
    except TonnageError as error:
        raise pytest.UsageError(str(error)) from None


def _select(config: pytest.Config, settled: Settled) -> None:
    options = read_select_options(config)
    if options.are_given:
        from tonnage.plugin.select import SelectPlugin

        plugin = SelectPlugin(config, options, settled)
        config.pluginmanager.register(plugin, "tonnage-select")
    rerun = read_rerun(config)
    if rerun is not None and rerun.node_ids is not None:
        config.pluginmanager.register(RerunPlugin(config, rerun.node_ids), "tonnage-rerun")


def _check_markers(config: pytest.Config) -> None:
    given = getattr(config.option, "tonnage_marker_policy", None)
    if given in (None, "off"):
        return
    if given not in ("warn", "strict"):
        raise OptionError(
            f'"{given}" is not one of off, warn, strict',
            where="--marker-policy",
            remedy=suggestion(given, ("off", "warn", "strict")),
        )
    from tonnage.plugin.policy import PolicyPlugin

    plugin = PolicyPlugin(config, strict=given == "strict")
    config.pluginmanager.register(plugin, "tonnage-marker-policy")


NOTICES = pytest.StashKey[list[str]]()
