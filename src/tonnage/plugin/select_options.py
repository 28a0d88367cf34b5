"""The options that leave tests out, as values."""

from dataclasses import dataclass

import pytest

from tonnage.errors import OptionError


@dataclass(frozen=True, slots=True)
class SelectOptions:
    """`--max-vram-gib`, `--stage` and `--fits` of a command line."""

    max_vram_gib: float | None
    stage: str | None
    fits: bool

    @property
    def are_given(self) -> bool:
        """Whether some tests may be left out."""
        return self.max_vram_gib is not None or self.stage is not None or self.fits


def read_select_options(config: pytest.Config) -> SelectOptions:
    """The options of a command line; raises OptionError for a value that cannot be used."""
    option = config.option
    return SelectOptions(
        max_vram_gib=_gib(getattr(option, "tonnage_max_vram_gib", None)),
        stage=getattr(option, "tonnage_stage", None),
        fits=bool(getattr(option, "tonnage_fits", None)),
    )


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
