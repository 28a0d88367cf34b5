"""The options of a packed or planned run, over what the configuration says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from tonnage.config import Settings
from tonnage.errors import OptionError, suggestion
from tonnage.execute.caps import MODES, VramCaps
from tonnage.execute.undeclared import Undeclared
from tonnage.markers.requirement import ISOLATION_LEVELS, Isolation


@dataclass(frozen=True, slots=True)
class Options:
    """How this command line asks for its tests to be run."""

    pack: bool
    slots: int | Literal["auto"]
    isolation: Isolation | None
    undeclared: Undeclared
    vram_caps: VramCaps
    pack_trace: Path | None
    dry_run: bool


def read_options(config: pytest.Config, settings: Settings) -> Options:
    """The options of a command line; raises OptionError for a value that cannot be used."""

    def given(name: str) -> Any:
        return getattr(config.option, f"tonnage_{name}", None)

    trace = given("pack_trace")
    return Options(
        pack=bool(given("pack")),
        slots=_slots(given("slots"), settings.slots),
        isolation=cast(
            "Isolation | None",
            _choice("--isolation", given("isolation"), ISOLATION_LEVELS, settings.isolation),
        ),
        undeclared=cast(
            "Undeclared",
            _choice(
                "--undeclared",
                given("undeclared"),
                ("learn", "whole", "cpu", "error"),
                settings.undeclared,
            ),
        ),
        vram_caps=cast(
            "VramCaps", _choice("--vram-caps", given("vram_caps"), MODES, settings.vram_caps)
        ),
        pack_trace=None if trace is None else config.invocation_params.dir / trace,
        dry_run=bool(given("dry_run")),
    )


def _choice(name: str, value: str | None, known: tuple[str, ...], default: Any) -> Any:
    if value is None:
        return default
    if value not in known:
        raise OptionError(
            f'"{value}" is not one of {", ".join(known)}',
            where=name,
            remedy=suggestion(value, known),
        )
    return value


def _slots(value: str | None, default: int | Literal["auto"]) -> int | Literal["auto"]:
    if value is None:
        return default
    if value == "auto":
        return "auto"
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise OptionError(
            f'"{value}" is not a number of slots',
            where="--slots",
            remedy="Give a whole number from 1, or auto for the CPUs this process may use.",
        )
    return int(value)
