"""What rules know beside the test or file they look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from tonnage.config import LintSettings, Settings
from tonnage.devices.spec import parse_gpu_spec
from tonnage.markers.vocabulary import Vocabulary
from tonnage.units import mib_from_gib


@dataclass(frozen=True, slots=True)
class Context:
    """The project's vocabulary and settings, what pytest is set up to do, history and date.

    `registered`: the markers that the project registers with pytest. `renamed`: the preset's names
    that this project replaced, with the new ones. `largest_card_mib` None: not known.
    `durations_s`: the mean duration by node id. `default_timeout_s`, `xfail_strict`: pytest's
    settings `timeout` and `xfail_strict`.
    """

    vocabulary: Vocabulary
    settings: LintSettings
    today: date
    registered: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    largest_card_mib: int | None = None
    durations_s: Mapping[str, float] = field(default_factory=dict)
    default_timeout_s: float | None = None
    xfail_strict: bool = False


def context_of(
    settings: Settings,
    *,
    today: date,
    registered: frozenset[str] = frozenset(),
    durations_s: Mapping[str, float] | None = None,
    default_timeout_s: float | None = None,
    xfail_strict: bool = False,
) -> Context:
    """The context that a project's settings give. Raises OptionError for a wrong `gpus`."""
    return Context(
        vocabulary=settings.vocabulary,
        settings=settings.lint,
        today=today,
        registered=registered,
        renamed=settings.vocabulary_changes.rename,
        largest_card_mib=_largest_card_mib(settings),
        durations_s=durations_s or {},
        default_timeout_s=default_timeout_s,
        xfail_strict=xfail_strict,
    )


def _largest_card_mib(settings: Settings) -> int | None:
    if settings.lint.largest_card_gib is not None:
        return mib_from_gib(settings.lint.largest_card_gib)
    spec = parse_gpu_spec(settings.gpus, "[tool.tonnage] gpus")
    return max(spec.cards_mib, default=None)
