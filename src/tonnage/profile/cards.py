"""Reference cards: the sizes that a recommendation is read against. Data.

Sizes are the makers' figures, in GiB; what a driver leaves usable is a little less.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReferenceCard:
    """One class of cards by the memory they have, in GiB."""

    name: str
    gib: int

    def __str__(self) -> str:
        return f"{self.name} ({self.gib} GiB)"


REFERENCE_CARDS = (
    ReferenceCard("edge/embedded", 4),
    ReferenceCard("RTX 3060/4060", 8),
    ReferenceCard("T4", 16),
    ReferenceCard("L4", 24),
    ReferenceCard("V100-32GB", 32),
    ReferenceCard("A6000/A40", 48),
    ReferenceCard("A100/H100", 80),
)


def cards_that_fit(
    needed_gib: float, cards: Sequence[ReferenceCard] = REFERENCE_CARDS
) -> tuple[tuple[ReferenceCard, ...], tuple[ReferenceCard, ...]]:
    """The cards that hold `needed_gib`, and those that would run out of memory."""
    fitting = tuple(card for card in cards if card.gib >= needed_gib)
    return fitting, tuple(card for card in cards if card.gib < needed_gib)
