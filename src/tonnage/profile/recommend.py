"""From what was measured to the markers a test should carry. Pure.

A marker that the test has already, with a value that still fits the measurement, stays as it is:
otherwise every profile would move every number a little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.markers.engine_caps import ENGINE_CAPS, CapUnit, Engine, cap_of_role
from tonnage.markers.marks import MarkValue
from tonnage.markers.vocabulary import Category, Marker, Vocabulary
from tonnage.profile.cards import cards_that_fit
from tonnage.units import MIB_PER_GIB, format_duration, format_gib, plural

# The first stage is what people wait for before every merge.
FIRST_STAGE_LIMIT_S = 20.0
# A CUDA context and the first compilation of a kernel alone take seconds.
UNIT_LIMIT_S = 5.0
VRAM_SAFETY = 1.1
# The least cap that starts an engine is not the least that serves every request.
CAP_SAFETY = 2.0
TIMEOUT_FACTOR = 3.0
# On a busy machine starting an interpreter and importing a framework may take this long.
LEAST_TIMEOUT_S = 10

# How far a value that is there may be from the advised one and still stand, as multiples of what
# was measured.
_VRAM_STANDS_FROM = 1.05
_CAP_STANDS = (1.5, 3.0)
_TIMEOUT_STANDS = (2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a profile found that one test needs.

    `peak_mib` is the highest VRAM on any one GPU, None when it could not be told; `gpus` how many
    GPUs it held memory on. `cap` is the least engine cap at which it passed, by marker role.
    """

    wall_s: float
    peak_mib: int | None
    gpus: int
    loads_model: bool = False
    cap: tuple[str, float] | None = None


@dataclass(frozen=True, slots=True)
class RecommendedMark:
    """One marker, by its name in this project, and why.

    `is_there`: the test carries it already. `number` is its value where it has one, and
    `stands_to` the largest that would still fit what was measured, where values can be compared.
    """

    name: str
    reason: str
    arguments: str = ""
    is_there: bool = False
    number: float | None = None
    stands_to: float | None = None

    @property
    def text(self) -> str:
        """The mark as written after `pytest.mark.`: `max_vram_gib(21)`."""
        return f"{self.name}({self.arguments})" if self.arguments else self.name


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The markers for one test, in the order to write them, and what to think about."""

    marks: tuple[RecommendedMark, ...]
    warnings: tuple[str, ...]


def recommend(needs: Needs, marks: Sequence[MarkValue], vocabulary: Vocabulary) -> Recommendation:
    """The markers for a test that carries `marks` (closest first) and was found to need `needs`."""
    advice = _Advice(needs, marks, vocabulary)
    advice.lifecycle()
    advice.type()
    advice.hardware()
    advice.vram()
    advice.needs_in_one_line()
    advice.engine_cap()
    advice.timeout()
    advice.cards()
    return Recommendation(tuple(advice.marks), tuple(advice.warnings))


def safe_gib(peak_mib: int) -> int:
    """The whole GiB to declare for a peak: a tenth of safety on top, rounded up."""
    return math.ceil(round(peak_mib * VRAM_SAFETY / MIB_PER_GIB, 6))


def cap_to_declare(role: str, least: float, declared: float | None = None) -> float:
    """The engine cap to declare when `least` is the least that passed: what is declared, or 2x."""
    if declared is not None and least * _CAP_STANDS[0] <= declared <= least * _CAP_STANDS[1]:
        return declared
    cap = cap_of_role(role)
    assert cap is not None, f"{role} is no engine cap"
    value = least * CAP_SAFETY
    return math.ceil(value * 10) / 10 if cap.unit is CapUnit.GIB else math.ceil(value)


def loads_a_model(marks: Sequence[MarkValue], vocabulary: Vocabulary) -> bool:
    """Whether its marks say that a test works with a real model: an engine, its cap, a model."""
    roles = {cap.role for cap in ENGINE_CAPS} | {engine.value for engine in Engine} | {"model"}
    known = (vocabulary.get(mark.name) for mark in marks)
    return any(marker is not None and marker.meaning in roles for marker in known)


class _Advice:
    """The marks of one test by meaning, with a method for each kind of marker."""

    def __init__(self, needs: Needs, marks: Sequence[MarkValue], vocabulary: Vocabulary) -> None:
        self.marks: list[RecommendedMark] = []
        self.warnings: list[str] = []
        self._needs = needs
        self._vocabulary = vocabulary
        self._there: dict[str, MarkValue] = {}
        for mark in marks:
            if (marker := vocabulary.get(mark.name)) is not None:
                self._there.setdefault(marker.meaning, mark)
        # What the closest needs(...) says, and what is to stand in it.
        self._said = dict(self._there["needs"].kwargs) if "needs" in self._there else {}
        self._in_needs: dict[str, object] = {}

    def lifecycle(self) -> None:
        """The first stage for a quick test; any other is for people to choose."""
        stages = self._vocabulary.lifecycles
        if not stages:
            return
        first, later = stages[0], stages[1:3]
        declared = [marker.name for marker in self._carried(Category.LIFECYCLE)]
        is_quick = self._needs.wall_s < FIRST_STAGE_LIMIT_S
        if declared:
            self._add(declared[0], "its stage", is_there=True)
        elif is_quick:
            self._add(first, f"takes {format_duration(self._needs.wall_s)}")
        if not is_quick and (not declared or declared[0] == first):
            consider = f" Consider {' or '.join(later)}." if later else ""
            self.warnings.append(
                f"{format_duration(self._needs.wall_s)} is too slow for {first} "
                f"(over {FIRST_STAGE_LIMIT_S:g} s).{consider}"
            )

    def type(self) -> None:
        """End-to-end with a real model, else by its time; a type that is there stands."""
        declared = self._carried(Category.TYPE)
        for marker in declared:
            self._add(marker.name, "its type", is_there=True)
        role = "e2e" if self._needs.loads_model else "integration"
        if not self._needs.loads_model and self._needs.wall_s < UNIT_LIMIT_S:
            role = "unit"
        known = [marker for marker in self._vocabulary.of(Category.TYPE) if marker.meaning == role]
        if not declared and known:
            loads = "loads a real model" if self._needs.loads_model else "loads no model"
            self._add(known[0].name, f"takes {format_duration(self._needs.wall_s)}, {loads}")

    def hardware(self) -> None:
        """The number of GPUs; what the author declared stands, with a word about it."""
        used = self._needs.gpus
        carried = [marker for marker in self._carried(Category.HARDWARE) if marker.gpu_count]
        declared = self._said.get("gpus", carried[0].gpu_count if carried else None)
        gpus = declared if isinstance(declared, int) else used
        if gpus > used:
            self.warnings.append(f"It declares {plural(gpus, 'GPU')} and held memory on {used}.")
        named = [
            marker for marker in self._vocabulary.of(Category.HARDWARE) if marker.gpu_count == gpus
        ]
        if carried or (named and "gpus" not in self._said):
            self._add(named[0].name, f"{plural(used, 'GPU')} used", is_there=bool(carried))
        else:
            self._in_needs["gpus"] = gpus

    def vram(self) -> None:
        """The peak with its safety, in the marker that says it already or in max_vram_gib."""
        peak_mib = self._needs.peak_mib
        if not peak_mib:
            return
        peak_gib = peak_mib / MIB_PER_GIB
        advised = safe_gib(peak_mib)
        low, high = peak_gib * _VRAM_STANDS_FROM, advised + 1
        is_measured = "profiled_vram_gib" in self._there
        if is_measured:
            exact = math.ceil(round(peak_gib * 10, 6)) / 10
            self._valued("profiled_vram_gib", f"{exact:g}", peak_gib, exact * 1.05, "measured peak")
        if "vram_gib" in self._said:
            said = self._said["vram_gib"]
            stands = isinstance(said, (int, float)) and low <= said <= high
            self._in_needs["vram_gib"] = said if stands else advised
        elif "max_vram_gib" in self._there or not is_measured:
            safe = format_gib(math.ceil(peak_mib * VRAM_SAFETY))
            reason = f"peak {format_gib(peak_mib)} (+10% safety: {safe})"
            self._valued("max_vram_gib", str(advised), low, high, reason)

    def needs_in_one_line(self) -> None:
        """What belongs into `needs(...)`, beside what it says already."""
        if self._in_needs:
            said = {**self._said, **self._in_needs}
            arguments = ", ".join(f"{keyword}={value!r}" for keyword, value in said.items())
            used = f"{plural(self._needs.gpus, 'GPU')} used"
            if self._needs.peak_mib:
                used += f", peak {format_gib(self._needs.peak_mib)}"
            self._add("needs", used, arguments, is_there=said == self._said)

    def engine_cap(self) -> None:
        """Twice the least cap at which the test passed."""
        if self._needs.cap is None:
            return
        role, least = self._needs.cap
        cap = cap_of_role(role)
        assert cap is not None, f"{role} is no engine cap"
        low, high = (least * factor for factor in _CAP_STANDS)
        advised = cap.text(cap_to_declare(role, least))
        self._valued(role, advised, low, high, f"2x the least that passed, {cap.text(least)}")

    def timeout(self) -> None:
        """Three times the observed time, in whole seconds."""
        seconds = self._needs.wall_s
        advised = max(LEAST_TIMEOUT_S, math.ceil(round(TIMEOUT_FACTOR * seconds, 6)))
        low, high = _TIMEOUT_STANDS[0] * seconds, _TIMEOUT_STANDS[1] * seconds
        reason = f"{TIMEOUT_FACTOR:g}x observed {format_duration(seconds)}"
        if advised == LEAST_TIMEOUT_S:
            reason = f"the least advised; observed {format_duration(seconds)}"
        high = max(high, LEAST_TIMEOUT_S)
        self._valued("timeout", str(advised), low, high, reason)

    def cards(self) -> None:
        """Which reference cards the test would run out of memory on."""
        if self._needs.peak_mib:
            _, too_small = cards_that_fit(safe_gib(self._needs.peak_mib))
            self.warnings += [f"Will run out of memory on {card}." for card in too_small]

    def _valued(self, role: str, advised: str, low: float, high: float, reason: str) -> None:
        """A mark with one number: the one that is there while it lies between `low` and `high`."""
        name = self._vocabulary.name_of(role)
        if (mark := self._there.get(role)) is None:
            self._add(name, reason, advised, number=float(advised), stands_to=high)
            return
        values = [*mark.args, *mark.kwargs.values()]
        number = values[0] if values and isinstance(values[0], (int, float)) else None
        if number is not None and low <= number <= high:
            self._add(name, reason, _arguments(mark), is_there=True, number=number, stands_to=high)
        else:
            arguments = _arguments(mark, advised)
            self._add(name, reason, arguments, number=float(advised), stands_to=high)

    def _carried(self, category: Category) -> list[Marker]:
        """The markers of a category that the test carries, in table order."""
        markers = self._vocabulary.of(category)
        return [marker for marker in markers if marker.meaning in self._there]

    def _add(
        self,
        name: str,
        reason: str,
        arguments: str = "",
        *,
        is_there: bool = False,
        number: float | None = None,
        stands_to: float | None = None,
    ) -> None:
        self.marks.append(RecommendedMark(name, reason, arguments, is_there, number, stands_to))


def _arguments(mark: MarkValue, number: str | None = None) -> str:
    """The arguments of a mark as Python, with `number` in place of the first."""
    positional = [repr(value) for value in mark.args]
    named = {keyword: repr(value) for keyword, value in mark.kwargs.items()}
    if number is not None:
        if positional:
            positional[0] = number
        elif named:
            named[next(iter(named))] = number
        else:
            positional = [number]
    return ", ".join([*positional, *(f"{keyword}={text}" for keyword, text in named.items())])
