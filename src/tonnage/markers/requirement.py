"""What one test needs, resolved from its marks.

Among marks of one name the closest to the test wins; among marks of different names nothing wins:
they must agree, since `pytest -m` sees them all alike. So the order of different marks never
matters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from tonnage.errors import MarkerError, MarkerProblem, MarkerProblemKind
from tonnage.markers.arguments import (
    Said,
    amount,
    choice,
    keywords,
    name,
    names,
    positive,
    read_value,
    seconds,
    shown,
    single,
    whole,
)
from tonnage.markers.marks import MarkValue
from tonnage.markers.vocabulary import Category, Marker, Vocabulary
from tonnage.units import mib_from_gib

T = TypeVar("T")
Isolation = Literal["test", "group", "module", "worker"]

# A measured peak is one observation; the next run may need a little more.
PROFILED_MARGIN_PERCENT = 10

# What may share a process with a test, from nothing to everything.
ISOLATION_LEVELS: tuple[Isolation, ...] = get_args(Isolation)

_NEEDS = {
    "gpus": whole(0),
    "vram_gib": amount,
    "cpus": whole(1),
    "memory_gib": amount,
    "exclusive": names,
    "group": name,
    "isolation": choice(*ISOLATION_LEVELS),
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one test needs. Memory is MiB; VRAM is per GPU.

    `gpus` None: no hardware declared. 0: sees no GPU. `vram_mib` None: nothing declared, which
    on a GPU test means whole cards. `reserved_mib` is `vram_mib` with the margin that a measured
    (not declared) figure still needs. `gpu_names` restricts the card by a substring of its name.
    `isolation` None: whatever the run does.
    """

    gpus: int | None = None
    vram_mib: int | None = None
    reserved_mib: int | None = None
    gpu_names: tuple[str, ...] = ()
    cpus: int = 1
    memory_mib: int = 0
    timeout_s: float | None = None
    exclusive: frozenset[str] = frozenset()
    group: str | None = None
    isolation: Isolation | None = None
    engine_caps: tuple[tuple[str, float], ...] = ()
    lifecycle: str | None = None

    def allows_card(self, gpu_name: str) -> bool:
        """Whether a GPU of this name will do; upper and lower case are alike."""
        return all(part.lower() in gpu_name.lower() for part in self.gpu_names)


def requirement_of(marks: Sequence[MarkValue], vocabulary: Vocabulary) -> Requirement:
    """What a test with these marks needs. `marks`: closest first, as `iter_markers` gives them.

    Marks outside the vocabulary say nothing here. Raises MarkerError with every problem found.
    """
    marked = _Marked(marks, vocabulary)
    needs = marked.needs
    vram_mib, reserved_mib = marked.vram()
    requirement = Requirement(
        gpus=marked.gpus(),
        vram_mib=vram_mib,
        reserved_mib=reserved_mib,
        gpu_names=marked.gpu_names(),
        cpus=_closest(needs, "cpus", 1),
        memory_mib=mib_from_gib(_closest(needs, "memory_gib", 0.0)),
        timeout_s=marked.timeout_s(),
        exclusive=frozenset().union(*(said.value for said in needs.get("exclusive", ()))),
        group=_closest(needs, "group", None),
        isolation=_closest(needs, "isolation", None),
        engine_caps=marked.engine_caps(),
        lifecycle=marked.lifecycle(),
    )
    if marked.problems:
        raise MarkerError(marked.problems)
    return requirement


class _Marked:
    """The marks of one test by meaning, with a method for each question; collects problems."""

    def __init__(self, marks: Sequence[MarkValue], vocabulary: Vocabulary) -> None:
        self.problems: list[MarkerProblem] = []
        self._marks: dict[str, list[MarkValue]] = {}
        for mark in marks:
            if (marker := vocabulary.get(mark.name)) is not None:
                self._marks.setdefault(marker.meaning, []).append(mark)
        self._markers = [each for each in vocabulary.markers if each.meaning in self._marks]
        self.needs = keywords(self._marks.get("needs", ()), _NEEDS, self.problems)
        self._declared = self._gib("max_vram_gib") + self.needs.get("vram_gib", [])[:1]
        self._measured = self._gib("profiled_vram_gib")

    def vram(self) -> tuple[int | None, int | None]:
        """Needed and reserved MiB per GPU.

        A declared figure includes its safety and is reserved as it is, also beside a measured one.
        """
        if _disagree(self._declared):
            self._complain_of_disagreement(
                self._declared, "declare different VRAM", MarkerProblemKind.VRAM
            )
        declared, measured = _first(self._declared), _first(self._measured)
        if declared and measured and measured.value > declared.value:
            self._complain(
                [declared, measured],
                f"{measured.shown} is a peak above what {declared.shown} allows",
                f"Raise {declared.mark}, or find out why the test needs more.",
                MarkerProblemKind.VRAM,
            )
        if declared is not None:
            return mib_from_gib(declared.value), mib_from_gib(declared.value)
        if measured is None:
            return None, None
        peak_mib = mib_from_gib(measured.value)
        # Rounded up, in whole numbers.
        return peak_mib, -(-peak_mib * (100 + PROFILED_MARGIN_PERCENT) // 100)

    def gpus(self) -> int | None:
        """The number of GPUs; what only a GPU can give implies one when no number is said."""
        counts = [
            Said(marker.gpu_count, marker.name, marker.name)
            for marker in self._of(Category.HARDWARE)
            if marker.gpu_count is not None
        ]
        counts += self.needs.get("gpus", [])[:1]
        wanting = [said for said in (*self._declared, *self._measured) if said.value]
        wanting += [
            Said(m.card, m.name, m.name) for m in self._of(Category.HARDWARE) if m.card is not None
        ]
        if _disagree(counts):
            self._complain_of_disagreement(
                counts, "declare different numbers of GPUs", MarkerProblemKind.GPU_COUNTS
            )
            return None
        if not counts:
            return 1 if wanting else None
        count: int = counts[0].value
        if count == 0 and wanting:
            self._complain(
                [*counts, *wanting],
                f"{_listed(counts)} gives the test no GPU, {_listed(wanting)} asks for one",
                "Declare at least one GPU, or take the other mark away.",
                MarkerProblemKind.NO_GPU,
            )
        return count

    def gpu_names(self) -> tuple[str, ...]:
        """What the name of each GPU must have in it."""
        return tuple(sorted(m.card for m in self._of(Category.HARDWARE) if m.card is not None))

    def timeout_s(self) -> float | None:
        """Seconds, from the closest mark alone; pytest-timeout's other arguments may stand."""
        found = []
        for mark in self._marks.get("timeout", ()):
            given = mark.args[0] if mark.args else mark.kwargs.get("timeout")
            place = f"{mark.name}({shown(given)})"
            found.append(read_value(given, seconds, mark.name, place, self.problems))
        return found[0] if found else None

    def engine_caps(self) -> tuple[tuple[str, float], ...]:
        """The engines' memory limits by the preset's marker name, sorted."""
        caps: dict[str, float] = {}
        for marker in self._of(Category.ENGINE_CAP):
            for mark in self._marks[marker.meaning]:
                value = single(mark, marker.parameters, positive, self.problems)
                if value is not None:
                    caps.setdefault(marker.meaning, value)
        return tuple(sorted(caps.items()))

    def lifecycle(self) -> str | None:
        """The earliest of the lifecycles: later stages run the test anyway."""
        stages = self._of(Category.LIFECYCLE)
        return stages[0].name if stages else None

    def _of(self, category: Category) -> list[Marker]:
        """The markers of a category that the test carries, in table order."""
        return [marker for marker in self._markers if marker.category is category]

    def _gib(self, meaning: str) -> list[Said]:
        """What the closest mark of this meaning says; empty when none does."""
        found = [
            Said(gib, mark.name, f"{mark.name}({gib:g})")
            for mark in self._marks.get(meaning, ())
            if (gib := single(mark, "gib", amount, self.problems)) is not None
        ]
        return found[:1]

    def _complain(
        self, places: Sequence[Said], reason: str, remedy: str, kind: MarkerProblemKind
    ) -> None:
        marks = tuple(dict.fromkeys(place.mark for place in places))
        self.problems.append(MarkerProblem(marks, reason, remedy, kind))

    def _complain_of_disagreement(
        self, places: Sequence[Said], what: str, kind: MarkerProblemKind
    ) -> None:
        self._complain(
            places,
            f"{_listed(places)} {what}",
            "Keep one; a mark that stands on a class or module belongs on the tests it is for.",
            kind,
        )


def _first(places: Sequence[Said]) -> Said | None:
    return places[0] if places else None


def _closest(needs: Mapping[str, Sequence[Said]], keyword: str, default: T) -> T:
    return needs[keyword][0].value if needs.get(keyword) else default


def _disagree(places: Sequence[Said]) -> bool:
    return len({place.value for place in places}) > 1


def _listed(places: Sequence[Said]) -> str:
    return " and ".join(place.shown for place in places)
