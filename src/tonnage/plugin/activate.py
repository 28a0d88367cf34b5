"""What happens once an option or [tool.tonnage] asks: markers and selection, in any process.

The user's own session reads options and configuration (plugin.session); the processes of a packed
run are told what came of it, and stay free of what only that reading needs.
"""

import pytest

from tonnage.errors import OptionError, TonnageError, suggestion
from tonnage.execute.settled import SETTLED, Settled
from tonnage.plugin.early import EARLY, start_early, will_pack
from tonnage.plugin.select_options import read_select_options


def before_main(config: pytest.Config) -> None:
    """Keep pytest-xdist from distributing a run that is packed; its -n then sets the slots."""
    option = config.option
    workers = getattr(option, "numprocesses", None)
    if workers or getattr(option, "tx", None):
        if workers and getattr(option, "tonnage_slots", None) is None:
            option.tonnage_slots = str(workers)
        option.numprocesses, option.dist, option.tx = None, "no", []
        config.stash[NOTICES] = ["--pack runs the tests; pytest-xdist's -n sets only the slots"]


def activate(config: pytest.Config) -> None:
    """Register the vocabulary's markers and the plugins that the options ask for.

    Raises pytest.UsageError with the text of any mistake in options or configuration.
    """
    try:
        if SETTLED not in config.stash:
            if will_pack(config):
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
