"""[tool.tonnage] of a project's pyproject.toml, as Settings: one declaration a key.

pydantic checks what a project has written. Importing it takes longer than all else that a short
command does, so it is imported only where there is something to check.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from tonnage.errors import ConfigError, suggestion
from tonnage.markers.customise import Changes, customise
from tonnage.markers.presets import PRESETS
from tonnage.markers.requirement import Isolation
from tonnage.markers.vocabulary import Vocabulary

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]


def _key(
    default: Any, description: str, allowed: str, example: str, name: str = "", **limits: Any
) -> Any:
    """One key: its default, what it is for, what it may be, and an example in TOML.

    `name`: how the key is written where the field is called otherwise. `limits` are pydantic's.
    """
    said = {"description": description, "allowed": allowed, "example": example}
    given = {"alias": name} if name else {}
    metadata = {"initially": default, "said": said, **given, **limits}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class _If:
    """What the type of a value does not say, for pydantic to check: whether this holds."""

    holds: Callable[[Any], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if not self.holds(value):
            raise ValueError
        return value


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


_Code = Annotated[str, _If(re.compile(r"TNG\d{0,3}").fullmatch)]


class _Table:
    # Strict: a text is no number and `true` is not 1.
    __pydantic_config__ = {"extra": "forbid", "strict": True, "allow_inf_nan": False}  # noqa: RUF012


@dataclass(frozen=True)
class VocabularySettings(_Table):
    """[tool.tonnage.vocabulary]: changes to the preset's markers, applied in this order."""

    lifecycles: tuple[str, ...] | None = _key(
        None,
        "All lifecycle markers, earliest stage first, in place of the preset's.",
        "an array of marker names",
        '["pre_merge", "nightly"]',
    )
    cards: tuple[str, ...] | None = _key(
        None,
        "All markers that ask for a GPU with that word in its name, in place of the preset's.",
        "an array of marker names",
        '["h100", "l4"]',
    )
    remove: tuple[str, ...] = _key(
        (),
        "Markers of the preset that this project does not know.",
        "an array of marker names",
        '["weekly"]',
    )
    rename: dict[str, str] = _key(
        {},
        "Markers of the preset that have another name here.",
        "a table from the preset's name to yours",
        '{ gpu_1 = "one_gpu" }',
    )
    add: dict[str, dict[str, str]] = _key(
        {},
        "New markers, by category; the text explains the marker in `pytest --markers`.",
        "a table from category to a table from marker to text",
        '{ component = { tokenizer = "concerns the tokenizer" } }',
    )


@dataclass(frozen=True)
class LintSettings(_Table):
    """[tool.tonnage.lint]: the rules that tests are checked against, and their figures."""

    select: tuple[_Code, ...] = _key(
        ("TNG",),
        "The rules to check, by code or by how their codes begin.",
        'an array of codes such as "TNG101" or "TNG1"',
        '["TNG1", "TNG301"]',
    )
    ignore: tuple[_Code, ...] = _key(
        (),
        "The rules to leave out of those selected.",
        'an array of codes such as "TNG101" or "TNG1"',
        '["TNG113", "TNG5"]',
    )
    severity: dict[_Code, Literal["error", "warning", "info"]] = _key(
        {},
        "How much a finding weighs, by rule; info never fails the check.",
        'a table from code to "error", "warning" or "info"',
        '{ TNG406 = "error" }',
    )
    largest_card_gib: float | None = _key(
        None,
        "VRAM of the largest card that runs these tests, in GiB; not set: that of `gpus`, where "
        "those are simulated.",
        "a number above 0",
        "80.0",
        gt=0,
    )
    timeout_budgets_s: dict[str, Annotated[float, _If(lambda seconds: seconds > 0)]] = _key(
        {"pre_merge": 300.0, "post_merge": 900.0, "nightly": 3600.0},
        "The longest timeout, in seconds, that a test of a lifecycle may ask for.",
        "a table from lifecycle marker to seconds",
        "{ pre_merge = 120.0, nightly = 1800.0 }",
    )
    sleep_limit_s: float = _key(
        1.0,
        "Seconds that a test may sleep at once.",
        "a number of at least 0",
        "0.5",
        ge=0,
    )
    ticket: Annotated[str, _If(_compiles)] = _key(
        r"https?://|#\d+|\b[A-Z][A-Z0-9]+-\d+\b",
        "What a ticket looks like in the reason of a skip or xfail.",
        "a regular expression",
        r"'\bGPU-\d+\b'",
    )
    file_names: tuple[str, ...] | None = _key(
        None,
        "What files with tests are called; not set: `test_*_*.py` where the vocabulary "
        "has components.",
        "an array of globs",
        '["test_*.py"]',
    )
    component_places: tuple[str, ...] = _key(
        (
            "components/**/tests/**",
            "tests/{frontend,kvbm_integration,planner,global_planner,profiler,router}/**",
        ),
        "Where unit and integration tests of a component lie; `**` is any number of folders.",
        "an array of globs from the root",
        '["src/*/tests/**"]',
    )
    e2e_places: tuple[str, ...] = _key(
        ("tests/**",),
        "Where e2e tests lie.",
        "an array of globs from the root",
        '["tests/e2e/**"]',
    )
    implied: dict[str, tuple[str, ...]] = _key(
        {},
        "Markers that a place implies, for `--fix` to add where they are missing: by a glob of "
        "files, or of classes in them after `::`.",
        "a table from glob to an array of markers",
        '{ "tests/unit/**" = ["unit", "gpu_0"], "**::TestStress*" = ["stress"] }',
    )


@dataclass(frozen=True)
class Settings(_Table):
    """[tool.tonnage]: how this project's tests are read and run."""

    preset: Literal["serving", "minimal"] = _key(
        "serving",
        "The markers to start from.",
        '"serving" or "minimal"',
        '"minimal"',
    )
    undeclared: Literal["learn", "whole", "cpu", "error"] = _key(
        "learn",
        "What a test without a hardware marker gets where there are GPUs: what earlier runs "
        "measured or else a whole GPU to itself, always a whole GPU, no GPU, or an error.",
        '"learn", "whole", "cpu" or "error"',
        '"cpu"',
    )
    isolation: Isolation | None = _key(
        None,
        "What shares a process. test: nothing. group: tests of one group, or with the same "
        "expensive fixture. module: the tests of a module. worker: tests that need no GPU share a "
        "few workers.",
        '"test", "group", "module" or "worker"',
        '"module"',
    )
    expensive_fixtures: tuple[str, ...] = _key(
        (),
        "Fixtures of module, package or session scope whose users share a process with "
        'isolation = "group".',
        "an array of fixture names",
        '["model_server"]',
    )
    slots: Literal["auto"] | Annotated[int, _If(lambda slots: slots >= 1)] = _key(
        "auto",
        "CPU slots, and so tests at a time; auto: one for each CPU this process may use.",
        '"auto" or a whole number of at least 1',
        "8",
    )
    gpus: str = _key(
        "auto",
        "The GPUs to use, as the option --gpus.",
        'a text such as "auto", "none" or "sim:2x24"',
        '"sim:2x24"',
        min_length=1,
    )
    vram_margin: float = _key(
        0.05,
        "Share of a GPU that stays free while tests share it.",
        "a number from 0 to 0.9",
        "0.1",
        ge=0,
        le=0.9,
    )
    vram_caps: Literal["off", "cooperative", "torch", "mps"] = _key(
        "off",
        "How tests are held to the VRAM they declare: not at all, by variables that engines read, "
        "by PyTorch's allocator as well, or by NVIDIA's MPS.",
        '"off", "cooperative", "torch" or "mps"',
        '"cooperative"',
    )
    timeout_grace_s: float = _key(
        5.0,
        "Seconds from a test's own timeout until it is ended from outside.",
        "a number of at least 0",
        "10.0",
        ge=0,
    )
    slow_after_s: float = _key(
        60.0,
        "Seconds after which a running test is called slow, and again each time they double.",
        "a number above 0",
        "300.0",
        gt=0,
    )
    interrupt_grace_s: float = _key(
        10.0,
        "Seconds that running tests get to finish after Ctrl-C.",
        "a number of at least 0",
        "30.0",
        ge=0,
    )
    sample_interval_s: float = _key(
        0.1,
        "Seconds between two readings of the GPUs.",
        "a number above 0",
        "0.5",
        gt=0,
    )
    vocabulary_changes: VocabularySettings = _key(
        VocabularySettings(),
        "Changes to the markers of the preset.",
        "a table",
        '{ remove = ["weekly"] }',
        name="vocabulary",
    )
    lint: LintSettings = _key(
        LintSettings(),
        "The rules that tests are checked against.",
        "a table",
        '{ ignore = ["TNG501"] }',
    )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The markers of this project: the preset with its changes."""
        vocabulary, _ = customise(PRESETS[self.preset], _changes(self.vocabulary_changes))
        return vocabulary


_TABLES: dict[str, type[_Table]] = {"vocabulary": VocabularySettings, "lint": LintSettings}


def load_settings(root: Path) -> Settings:
    """The settings in `root`/pyproject.toml; the defaults where file or table is missing.

    Raises ConfigError with all mistakes of the table, each with its key.
    """
    path = root / "pyproject.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not valid TOML: {error}", where=str(path)) from error
    tool = document.get("tool", {})
    table = tool.get("tonnage", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError("tool.tonnage is not a table", where=str(path))
    return _checked(table, str(path))


def _checked(table: Mapping[str, Any], where: str) -> Settings:
    settings, places = _validated(table) if table else (Settings(), [])
    mistakes = [_in_words(place, table) for place in places]
    if settings is not None:
        preset = PRESETS[settings.preset]
        for mistake in customise(preset, _changes(settings.vocabulary_changes))[1]:
            text = f"vocabulary.{mistake.key}: {mistake.reason}"
            mistakes.append(f"{text}; {mistake.remedy}" if mistake.remedy else text)
    if settings is None or mistakes:
        raise ConfigError("\n  ".join(["[tool.tonnage] cannot be used", *mistakes]), where=where)
    return settings


def _validated(table: Mapping[str, Any]) -> tuple[Settings | None, list[tuple[str, ...]]]:
    """The settings that a table says, or none and the keys that are wrong."""
    from pydantic import TypeAdapter, ValidationError

    # As JSON, whose arrays may be tuples even where types are strict. A date has no JSON, and no
    # key may be one: neither may any be an array of null.
    text = json.dumps(table, default=lambda date: [None])
    try:
        return TypeAdapter(Settings).validate_json(text), []
    except ValidationError as error:
        return None, list(dict.fromkeys(_place(mistake["loc"]) for mistake in error.errors()))


def _changes(settings: VocabularySettings) -> Changes:
    return Changes(
        lifecycles=settings.lifecycles,
        cards=settings.cards,
        remove=settings.remove,
        rename=settings.rename,
        add=settings.add,
    )


def _place(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The key a mistake is about: pydantic's location without what lies below a declared key."""
    return tuple(map(str, loc[: 2 if loc[0] in _TABLES else 1]))


def _in_words(place: tuple[str, ...], table: Mapping[str, Any]) -> str:
    """The mistake at one key: what is given and what may be, or the nearest known key."""
    known = keys(Settings if len(place) == 1 else _TABLES[place[0]])
    given = table if len(place) == 1 else table[place[0]]
    key = ".".join(place)
    if place[-1] not in known:
        return f"{key}: unknown key; " + (
            suggestion(place[-1], known) or f"the keys are {', '.join(known)}"
        )
    return f"{key}: {_toml(given[place[-1]])} is not {described(known[place[-1]])['allowed']}"


def keys(table: type[_Table]) -> dict[str, Field[Any]]:
    """The keys of a table as written in TOML, with their declarations."""
    return {each.metadata.get("alias", each.name): each for each in fields(table)}  # type: ignore[arg-type]


def described(declared: Field[Any]) -> dict[str, str]:
    """What a declaration says for people: `description`, `allowed` values and an `example`."""
    said: dict[str, str] = declared.metadata["said"]
    return said


def keys_table(table: type[_Table]) -> str:
    """The Markdown table of a table's keys, for the documentation."""
    rows = ["| key | default | may be | what it is for | example |", "|---|---|---|---|---|"]
    for key, declared in keys(table).items():
        said, value = described(declared), declared.metadata["initially"]
        is_set = isinstance(value, (str, float, tuple, dict)) and value
        default = f"`{_toml(value)}`" if is_set else "not set"
        cells = [f"`{key}`", default, said["allowed"], said["description"]]
        cells.append(f"`{key} = {said['example']}`")
        rows.append(f"| {' | '.join(cell.replace('|', _PIPE) for cell in cells)} |")
    return "\n".join(rows)


_PIPE = r"\|"  # as a cell of a Markdown table writes it


def _toml(value: object) -> str:
    """A value nearly as TOML writes it."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
    return json.dumps(value, default=str, ensure_ascii=False)
