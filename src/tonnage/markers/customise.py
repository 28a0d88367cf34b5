"""A project's changes to a preset: stages and cards replaced, markers removed, renamed, added."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tonnage.errors import suggestion
from tonnage.markers.vocabulary import Category, Marker, Vocabulary

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The others have a fixed set of markers, each read by code, or a key of their own.
_OPEN = tuple(
    category
    for category in Category
    if category not in (Category.LIFECYCLE, Category.VRAM, Category.ENGINE_CAP)
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a project changes, applied in the order of these fields; None leaves the preset's.

    `lifecycles`: all stages, earliest first. `cards`: all marks that are also part of a GPU's
    name. `rename`: from the preset's name. `add`: category to marker to its help sentence.
    """

    lifecycles: tuple[str, ...] | None = None
    cards: tuple[str, ...] | None = None
    remove: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A change that cannot be made: its key below the vocabulary, why not, what may help."""

    key: str
    reason: str
    remedy: str | None = None


def customise(preset: Vocabulary, changes: Changes) -> tuple[Vocabulary, tuple[Mistake, ...]]:
    """The preset with all changes that can be made, and a mistake for each that cannot."""
    mistakes: list[Mistake] = []
    markers = {marker.name: marker for marker in preset.markers}
    if changes.lifecycles is not None:
        stages = [_stage(preset, name) for name in changes.lifecycles]
        markers = _replaced(markers, Category.LIFECYCLE, stages, "lifecycles", mistakes)
    if changes.cards is not None:
        counts = [marker for marker in markers.values() if marker.gpu_count is not None]
        cards = [_card(name) for name in changes.cards]
        markers = _replaced(markers, Category.HARDWARE, [*counts, *cards], "cards", mistakes)
    for name in changes.remove:
        if name in markers:
            del markers[name]
        else:
            mistakes.append(_unknown("remove", name, markers))
    for old, new in changes.rename.items():
        key = f"rename.{old}"
        if old not in markers:
            mistakes.append(_unknown(key, old, markers))
        elif markers[old].built_in:
            mistakes.append(Mistake(key, f'"{old}" is pytest\'s own and keeps its name'))
        elif _is_free(new, key, markers, mistakes):
            markers = _renamed(markers, old, new)
    for category, added in changes.add.items():
        _add(category, added, markers, mistakes)
    table_order = list(Category)
    table = sorted(markers.values(), key=lambda marker: table_order.index(marker.category))
    return Vocabulary(tuple(table)), tuple(mistakes)


def _renamed(markers: dict[str, Marker], old: str, new: str) -> dict[str, Marker]:
    """`markers` with one renamed in its place: for lifecycles, the order is that of the stages."""
    renamed = replace(markers[old], name=new, role=markers[old].meaning)
    return {(new if name == old else name): markers[name] for name in markers} | {new: renamed}


def _stage(preset: Vocabulary, name: str) -> Marker:
    known = preset.get(name)
    if known is not None and known.category is Category.LIFECYCLE:
        return known
    return Marker(name, Category.LIFECYCLE, f"runs in stage {name}, and later")


def _card(name: str) -> Marker:
    return Marker(name, Category.HARDWARE, f"needs GPUs with {name.upper()} in their name")


def _replaced(
    markers: dict[str, Marker],
    category: Category,
    replacement: Iterable[Marker],
    key: str,
    mistakes: list[Mistake],
) -> dict[str, Marker]:
    """`markers` with all those of one category replaced."""
    others = {name: marker for name, marker in markers.items() if marker.category is not category}
    taken: dict[str, Marker] = {}
    for marker in replacement:
        if _is_free(marker.name, key, others | taken, mistakes):
            taken[marker.name] = marker
    return others | taken


def _add(
    category: str,
    added: Mapping[str, str],
    markers: dict[str, Marker],
    mistakes: list[Mistake],
) -> None:
    known = [member.value for member in _OPEN]
    if category not in known:
        mistakes.append(
            Mistake(
                f"add.{category}",
                f'"{category}" is no category to add markers to',
                suggestion(category, known) or f"The categories are {', '.join(known)}.",
            )
        )
        return
    for name, help_text in added.items():
        key = f"add.{category}.{name}"
        marker = Marker(name, Category(category), help_text)
        if marker.card is not None:
            mistakes.append(
                Mistake(key, f'"{name}" is no gpu_N', 'Name cards with the key "cards".')
            )
        elif _is_free(name, key, markers, mistakes):
            markers[name] = marker


def _is_free(name: str, key: str, markers: Mapping[str, Marker], mistakes: list[Mistake]) -> bool:
    if not _NAME.fullmatch(name):
        mistakes.append(
            Mistake(key, f'"{name}" cannot be a marker', "Use letters, digits and underscores.")
        )
        return False
    if name in markers:
        mistakes.append(Mistake(key, f'there is a marker "{name}" already'))
        return False
    return True


def _unknown(key: str, name: str, markers: Iterable[str]) -> Mistake:
    return Mistake(key, f'there is no marker "{name}"', suggestion(name, markers))
