"""The door: what pytest loads. It knows the options and nothing else until one of them is used.

Nothing of Tonnage is imported here at module level; a test in a fresh process holds that.
"""

from collections.abc import Generator
from typing import Any

import pytest

# Markers that are known in any project; the full vocabulary comes with [tool.tonnage] or an option.
_MINIMAL_MARKERS = (
    "max_vram_gib(gib): VRAM this test needs on each GPU, safety included; 0: allocates none",
    "profiled_vram_gib(gib): VRAM peak measured on each GPU; a margin is added when it is reserved",
    "needs(gpus=, vram_gib=, cpus=, memory_gib=, exclusive=, group=, isolation=): what this test "
    "needs, in one line",
    "timeout(seconds): seconds the test may take; 0: no limit",
)

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--pack",
        {
            "action": "store_true",
            "help": "Run tests in processes of their own, packed onto the machine's GPUs.",
        },
    ),
    (
        "--slots",
        {"metavar": "N|auto", "help": "With --pack: CPU slots, and so tests at a time (auto)."},
    ),
    (
        "--isolation",
        {
            "metavar": "LEVEL",
            "help": "With --pack: what shares a process. test: nothing. group: tests of one "
            "needs(group=...), or with the same expensive fixture. module: the tests of a module. "
            "worker: tests that need no GPU share a few workers (the default).",
        },
    ),
    (
        "--gpus",
        {
            "metavar": "SPEC",
            "help": "With --pack or --fits: nvml (real GPUs, the default), none, or simulated "
            "ones such as sim:2x24 (2 of 24 GiB) or sim:1x22,1x80.",
        },
    ),
    (
        "--undeclared",
        {
            "metavar": "learn|whole|cpu|error",
            "help": "With --pack: what a test without a hardware marker gets on a machine with "
            "GPUs. learn: what earlier runs measured, else a GPU to itself. whole: always a GPU to "
            "itself. cpu: none. error: it fails.",
        },
    ),
    (
        "--vram-caps",
        {
            "metavar": "off|cooperative|torch|mps",
            "help": "With --pack: hold tests to the VRAM they declare. off: no (the default). "
            "cooperative: variables that engines read. torch: PyTorch's allocator, too. "
            "mps: NVIDIA's MPS.",
        },
    ),
    (
        "--pack-trace",
        {"metavar": "FILE", "help": "With --pack: write a Chrome/Perfetto trace of the run."},
    ),
    (
        "--pack-rerun",
        {"metavar": "FILE", "help": "Run only the tests that FILE names; `tonnage rerun` uses it."},
    ),
    (
        "--max-vram-gib",
        {
            "metavar": "GIB",
            "help": "Deselect tests that declare more VRAM per GPU than this; tests without a "
            "declaration stay.",
        },
    ),
    (
        "--stage",
        {
            "metavar": "STAGE",
            "help": "Select tests whose lifecycle is this pipeline stage or an earlier one.",
        },
    ),
    (
        "--fits",
        {
            "action": "store_true",
            "help": "Deselect, with the reason, what this machine cannot run.",
        },
    ),
    (
        "--marker-policy",
        {
            "metavar": "off|warn|strict",
            "help": "Check the markers of the collected tests against the rules of `tonnage lint`. "
            "warn: show what is wrong. strict: it is an error, and no test runs.",
        },
    ),
    (
        "--dry-run",
        {
            "action": "store_true",
            "help": "Show which tests would run, which not and why, and the packing plan.",
        },
    ),
)
_NAMES = frozenset(name for name, _ in _OPTIONS)


def _dest(name: str) -> str:
    return "tonnage_" + name[2:].replace("-", "_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options, each only as long as nobody else wants its name."""
    taken = _names_of(parser)
    group = parser.getgroup("tonnage", "GPU-aware packing (Tonnage)")
    for name, attributes in _OPTIONS:
        if name not in taken:
            group.addoption(name, dest=_dest(name), default=None, **attributes)
    _yield_names(parser, group)


def _names_of(parser: Any) -> set[str]:
    """The names of all options there are."""
    groups = [parser._anonymous, *parser._groups]
    return {name for group in groups for option in group.options for name in option.names()}


def _yield_names(parser: Any, ours: Any) -> None:
    """Have our options give way to a plugin's or conftest's own of the same name.

    Installed and unused, Tonnage must not break a suite that has its own `--gpus`; pytest raises
    for a name registered twice, so ours goes just before theirs comes. Checked with pytest 8.0
    (options are kept in groups until parsing) and 9.2 (argparse knows them at once).
    """

    def give_up(name: str) -> None:
        ours.options[:] = [option for option in ours.options if name not in option.names()]
        actions = getattr(getattr(parser, "optparser", None), "_option_string_actions", {})
        if name in actions:
            parser.optparser._handle_conflict_resolve(None, [(name, actions[name])])

    def yielding(add: Any) -> Any:
        def addoption(*names: str, **attributes: Any) -> None:
            for name in _NAMES.intersection(names):
                give_up(name)
            add(*names, **attributes)

        return addoption

    def getgroup(*args: Any, **kwargs: Any) -> Any:
        group = original(*args, **kwargs)
        if group is not ours and "addoption" not in vars(group):
            group.addoption = yielding(group.addoption)
        return group

    original = parser.getgroup
    parser.getgroup = getgroup
    parser.addoption = yielding(parser.addoption)


def _asked(config: pytest.Config) -> bool:
    return any(getattr(config.option, _dest(name), None) for name in _NAMES)


def _has_table(config: pytest.Config) -> bool:
    """Whether the project configures Tonnage: a look, not a parse."""
    try:
        return "[tool.tonnage" in (config.rootpath / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Tell plugins that choose their part this early that the tests will not run here."""
    options = early_config.known_args_namespace
    if not getattr(options, "tonnage_pack", None):
        return (yield)
    from tonnage.plugin.activate import presented

    with presented(options):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Take the run over from pytest-xdist when both were asked for; it acts in this hook too."""
    if getattr(config.option, "tonnage_pack", None):
        from tonnage.plugin.activate import before_main

        before_main(config)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and what an option asks for."""
    if not _asked(config) and not _has_table(config):
        for line in _MINIMAL_MARKERS:
            config.addinivalue_line("markers", line)
        return
    from tonnage.plugin.activate import activate

    activate(config)
