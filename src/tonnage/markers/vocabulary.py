"""The vocabulary: the table of known markers, by category, and what each one means.

Code reads marks by *role*, the name a marker has in the preset; a project may give it another
name, and its tests then use that one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tonnage.errors import suggestion

_GPU_COUNT = re.compile(r"gpu_(0|[1-9][0-9]{0,3})")


class Category(str, Enum):
    """What kind of thing a marker says. The value is the name used in configuration."""

    LIFECYCLE = "lifecycle"
    TYPE = "type"
    HARDWARE = "hardware"
    VRAM = "vram"
    ENGINE_CAP = "engine_cap"
    COMPONENT = "component"
    INFRASTRUCTURE = "infrastructure"
    EXECUTION = "execution"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Marker:
    """One known marker.

    `parameters` is its argument list as `pytest --markers` shows it. `role` is the name code
    knows it by; empty means its own. `built_in`: pytest registers it itself.
    """

    name: str
    category: Category
    help: str
    parameters: str = ""
    role: str = ""
    built_in: bool = False

    @property
    def meaning(self) -> str:
        """The role code reads this marker as."""
        return self.role or self.name

    @property
    def gpu_count(self) -> int | None:
        """The N of a `gpu_N` marker, None for every other marker."""
        match = _GPU_COUNT.fullmatch(self.meaning)
        return int(match[1]) if match and self.category is Category.HARDWARE else None

    @property
    def card(self) -> str | None:
        """The part of a GPU's name that this marker asks for, None when it asks for none."""
        is_card = self.category is Category.HARDWARE and self.gpu_count is None
        return self.meaning if is_card else None

    @property
    def pytest_line(self) -> str:
        """The line for pytest's `markers` setting: `name(parameters): help`."""
        arguments = f"({self.parameters})" if self.parameters else ""
        return f"{self.name}{arguments}: {self.help}"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All known markers, in table order. The lifecycles among them are in stage order."""

    markers: tuple[Marker, ...]
    _by_name: Mapping[str, Marker] = field(init=False, repr=False, compare=False)
    _name_of: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {marker.name: marker for marker in self.markers}
        assert len(by_name) == len(self.markers), "a marker is listed twice"
        object.__setattr__(self, "_by_name", by_name)
        names = {marker.meaning: marker.name for marker in reversed(self.markers)}
        object.__setattr__(self, "_name_of", names)

    def get(self, name: str) -> Marker | None:
        """The marker that tests write as `name`, None when it is not known."""
        return self._by_name.get(name)

    def known(self) -> tuple[str, ...]:
        """Every known name, in table order."""
        return tuple(self._by_name)

    def suggest(self, name: str) -> str | None:
        """`did you mean "x"?` for the nearest known name, None when none is near."""
        return suggestion(name, self._by_name)

    def of(self, category: Category) -> tuple[Marker, ...]:
        """The markers of one category, in table order."""
        return tuple(marker for marker in self.markers if marker.category is category)

    def name_of(self, role: str) -> str:
        """What this project calls the marker with this role; the role itself when it has none."""
        return self._name_of.get(role, role)

    @property
    def lifecycles(self) -> tuple[str, ...]:
        """The lifecycle markers, earliest stage first."""
        return tuple(marker.name for marker in self.of(Category.LIFECYCLE))

    def pytest_lines(self) -> tuple[str, ...]:
        """One line for each marker that pytest does not register itself."""
        return tuple(marker.pytest_line for marker in self.markers if not marker.built_in)
