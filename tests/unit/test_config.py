"""[tool.tonnage]: what may be said, and how a mistake is told."""

import textwrap
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path

import pytest

from tonnage.config import (
    LintSettings,
    Settings,
    VocabularySettings,
    described,
    keys,
    load_settings,
)
from tonnage.errors import ConfigError

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def loaded(root: Path, text: str) -> Settings:
    (root / "pyproject.toml").write_text(textwrap.dedent(text), encoding="utf-8")
    return load_settings(root)


def mistakes(root: Path, table: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(root, "[tool.tonnage]\n" + textwrap.dedent(table))
    assert caught.value.where == str(root / "pyproject.toml")
    first, *rest = caught.value.reason.split("\n  ")
    assert first == "[tool.tonnage] cannot be used"
    return rest


def test_without_a_file_the_defaults_hold(tmp_path):
    assert load_settings(tmp_path) == Settings()


@pytest.mark.parametrize("text", ["", "[tool]", "[tool.other]\nslots = 1", "[tool.tonnage]"])
def test_without_a_table_or_a_key_the_defaults_hold(tmp_path, text):
    assert loaded(tmp_path, text) == Settings()


def test_every_key_is_read(tmp_path):
    settings = loaded(
        tmp_path,
        """\
        [tool.tonnage]
        preset = "minimal"
        undeclared = "cpu"
        isolation = "worker"
        slots = 3
        gpus = "sim:2x24"
        vram_margin = 0.2
        vram_caps = "torch"
        timeout_grace_s = 1
        slow_after_s = 7
        expensive_fixtures = ["server"]
        interrupt_grace_s = 2.5
        sample_interval_s = 0.5

        [tool.tonnage.vocabulary]
        lifecycles = ["commit"]
        cards = ["l4"]
        remove = ["timeout"]
        rename = { max_vram_gib = "vram" }
        add = { hardware = { gpu_2 = "needs 2 GPUs at once" } }

        [tool.tonnage.lint]
        select = ["TNG1"]
        ignore = ["TNG113"]
        severity = { TNG106 = "error" }
        largest_card_gib = 80
        timeout_budgets_s = { commit = 60 }
        sleep_limit_s = 0.5
        ticket = 'GPU-\\d+'
        file_names = ["test_*.py"]
        component_places = ["src/*/tests/**"]
        e2e_places = ["e2e/**"]
        implied = { "unit/**" = ["unit"] }
        """,
    )
    assert asdict(settings.lint) == {
        "select": ("TNG1",),
        "ignore": ("TNG113",),
        "severity": {"TNG106": "error"},
        "largest_card_gib": 80.0,
        "timeout_budgets_s": {"commit": 60.0},
        "sleep_limit_s": 0.5,
        "ticket": r"GPU-\d+",
        "file_names": ("test_*.py",),
        "component_places": ("src/*/tests/**",),
        "e2e_places": ("e2e/**",),
        "implied": {"unit/**": ("unit",)},
    }
    others = asdict(replace(settings, vocabulary_changes=None, lint=None))
    assert others == {
        "vocabulary_changes": None,
        "lint": None,
        "preset": "minimal",
        "undeclared": "cpu",
        "isolation": "worker",
        "expensive_fixtures": ("server",),
        "slow_after_s": 7.0,
        "slots": 3,
        "gpus": "sim:2x24",
        "vram_margin": 0.2,
        "vram_caps": "torch",
        "timeout_grace_s": 1.0,
        "interrupt_grace_s": 2.5,
        "sample_interval_s": 0.5,
    }
    assert sorted(settings.vocabulary.known()) == [
        "commit",
        "gpu_2",
        "l4",
        "needs",
        "profiled_vram_gib",
        "vram",
    ]
    for read in (settings, settings.lint, settings.vocabulary_changes):
        for key, declared in keys(type(read)).items():
            assert getattr(read, declared.name) != getattr(type(read)(), declared.name), key


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (Settings, "tool.tonnage"),
        (VocabularySettings, "tool.tonnage.vocabulary"),
        (LintSettings, "tool.tonnage.lint"),
    ],
)
def test_every_key_is_described_and_its_example_is_valid(tmp_path, model, table):
    for key, declared in keys(model).items():
        assert described(declared)["description"]
        loaded(tmp_path, f"[{table}]\n{key} = {described(declared)['example']}")


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ('preset = "servin"', 'preset: "servin" is not "serving" or "minimal"'),
        ("undeclared = true", 'undeclared: true is not "learn", "whole", "cpu" or "error"'),
        ("slots = 0", 'slots: 0 is not "auto" or a whole number of at least 1'),
        ("slots = true", 'slots: true is not "auto" or a whole number of at least 1'),
        ("slots = 1.5", 'slots: 1.5 is not "auto" or a whole number of at least 1'),
        ('gpus = ""', 'gpus: "" is not a text such as "auto", "none" or "sim:2x24"'),
        ("vram_margin = 0.91", "vram_margin: 0.91 is not a number from 0 to 0.9"),
        ('vram_margin = "0.1"', 'vram_margin: "0.1" is not a number from 0 to 0.9'),
        ("vram_margin = true", "vram_margin: true is not a number from 0 to 0.9"),
        ("timeout_grace_s = -1", "timeout_grace_s: -1 is not a number of at least 0"),
        ("interrupt_grace_s = inf", "interrupt_grace_s: inf is not a number of at least 0"),
        ("sample_interval_s = 0", "sample_interval_s: 0 is not a number above 0"),
        (
            "isolation = 2026-01-01",
            'isolation: "2026-01-01" is not "test", "group", "module" or "worker"',
        ),
        (
            "lint.largest_card_gib = 2026-01-01",
            'lint.largest_card_gib: "2026-01-01" is not a number above 0',
        ),
        (
            "lint.file_names = 2026-01-01",
            'lint.file_names: "2026-01-01" is not an array of globs',
        ),
        (
            "lint.timeout_budgets_s = { pre_merge = 0 }",
            "lint.timeout_budgets_s: { pre_merge = 0 } is not a table from lifecycle marker to "
            "seconds",
        ),
        ("vocabulary_changes = {}", 'vocabulary_changes: unknown key; did you mean "vocabulary"?'),
        ("slot = 2", 'slot: unknown key; did you mean "slots"?'),
        ("vocabulary = 3", "vocabulary: 3 is not a table"),
        ("vocabulary.ad = {}", 'vocabulary.ad: unknown key; did you mean "add"?'),
        (
            "vocabulary.zebra = {}",
            "vocabulary.zebra: unknown key; the keys are lifecycles, cards, remove, rename, add",
        ),
        ("lint = 3", "lint: 3 is not a table"),
        ("lint.selct = []", 'lint.selct: unknown key; did you mean "select"?'),
        (
            'lint.ignore = ["E501"]',
            'lint.ignore: ["E501"] is not an array of codes such as "TNG101" or "TNG1"',
        ),
        ('lint.ticket = "("', 'lint.ticket: "(" is not a regular expression'),
        (
            "lint.implied = { a = 3 }",
            "lint.implied: { a = 3 } is not a table from glob to an array of markers",
        ),
        (
            "vocabulary.remove = [1]",
            "vocabulary.remove: [1] is not an array of marker names",
        ),
        (
            'vocabulary.remove = "weekly"',
            'vocabulary.remove: "weekly" is not an array of marker names',
        ),
        (
            'vocabulary.remove = ["weekl"]',
            'vocabulary.remove: there is no marker "weekl"; did you mean "weekly"?',
        ),
    ],
)
def test_a_mistake_names_the_key_what_is_given_and_what_may_be(tmp_path, line, mistake):
    assert mistakes(tmp_path, line) == [mistake]


def test_all_mistakes_are_told_at_once(tmp_path):
    assert (
        len(mistakes(tmp_path, "slots = 0\nslot = 1\ngpus = 2\n[tool.tonnage.vocabulary]\nad = 1"))
        == 4
    )


def test_broken_toml_names_file_and_line(tmp_path):
    with pytest.raises(ConfigError, match=r"is not valid TOML: .*line 2") as caught:
        loaded(tmp_path, "[tool.tonnage]\nslots = = 1\n")
    assert caught.value.where == str(tmp_path / "pyproject.toml")


def test_a_table_that_is_none_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"tool.tonnage is not a table"):
        loaded(tmp_path, "[tool]\ntonnage = 1\n")


@pytest.mark.parametrize("content", [b"\xff", None])
def test_a_file_that_cannot_be_read_is_told(tmp_path, content):
    path = tmp_path / "pyproject.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot be read"):
        load_settings(tmp_path)


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Settings().slots = 2  # type: ignore[misc]
