"""What the user's session has read from options and configuration, for every process of the run."""

from dataclasses import astuple, dataclass
from typing import Any

import pytest

from tonnage.devices.spec import GpuSpec, parse_gpu_spec
from tonnage.markers.vocabulary import Category, Marker, Vocabulary


@dataclass(frozen=True, slots=True)
class Settled:
    """The vocabulary, and the GPUs asked for; `gpus_from` names where they were asked for.

    `expensive_fixtures`: the fixtures whose users share a process at isolation level `group`.
    """

    vocabulary: Vocabulary
    gpus: str
    gpus_from: str
    expensive_fixtures: tuple[str, ...] = ()

    def gpu_spec(self) -> GpuSpec:
        """The GPUs as a specification; raises OptionError naming where it came from."""
        return parse_gpu_spec(self.gpus, self.gpus_from)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        markers = [list(astuple(marker)) for marker in self.vocabulary.markers]
        return {
            "markers": markers,
            "gpus": self.gpus,
            "gpus_from": self.gpus_from,
            "expensive_fixtures": list(self.expensive_fixtures),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Settled":
        """What `to_json` made."""
        markers = tuple(
            Marker(name, Category(category), *rest) for name, category, *rest in data["markers"]
        )
        return cls(
            Vocabulary(markers),
            data["gpus"],
            data["gpus_from"],
            tuple(data["expensive_fixtures"]),
        )


SAID = pytest.StashKey[dict[str, Any]]()
"""What plugins say about the collection, as JSON, from the process that collects to the user's."""

SETTLED = pytest.StashKey[Settled]()
