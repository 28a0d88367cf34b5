"""The command-line options as values: checked once, with messages that name the option."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from tonnage.config import Settings
from tonnage.errors import OptionError, suggestion
from tonnage.execute.jobs import Isolation, Undeclared


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on this command line, over what the configuration says."""

    pack: bool
    slots: int | Literal["auto"]
    isolation: Isolation | None
    gpus: str
    undeclared: Undeclared
    pack_trace: Path | None
    max_vram_gib: float | None
    stage: str | None
    fits: bool
    dry_run: bool

    @property
    def selects(self) -> bool:
        """Whether some tests may be left out."""
        return self.max_vram_gib is not None or self.stage is not None or self.fits


def read_options(config: pytest.Config, settings: Settings, environ: dict[str, str]) -> Options:
    """The options of a command line; raises OptionError for a value that cannot be used.

    The command line wins over TONNAGE_GPUS, and that over [tool.tonnage].
    """

    def given(name: str) -> Any:
        return getattr(config.option, f"tonnage_{name}", None)

    trace = given("pack_trace")
    return Options(
        pack=bool(given("pack")),
        slots=_slots(given("slots"), settings.slots),
        isolation=cast(
            "Isolation | None",
            _choice("--isolation", given("isolation"), ("test", "worker"), settings.isolation),
        ),
        gpus=given("gpus") or environ.get("TONNAGE_GPUS") or settings.gpus,
        undeclared=cast(
            "Undeclared",
            _choice(
                "--undeclared", given("undeclared"), ("whole", "cpu", "error"), settings.undeclared
            ),
        ),
        pack_trace=None if trace is None else config.invocation_params.dir / trace,
        max_vram_gib=_gib(given("max_vram_gib")),
        stage=given("stage"),
        fits=bool(given("fits")),
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


def _gib(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        gib = float(value)
    except ValueError:
        gib = float("nan")
    if not 0 <= gib < float("inf"):
        raise OptionError(
            f'"{value}" is not an amount of memory',
            where="--max-vram-gib",
            remedy="Give GiB per GPU as a number, such as 16 or 22.5.",
        )
    return gib
