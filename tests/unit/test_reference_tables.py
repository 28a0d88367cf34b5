"""The tables and messages in the documentation are those of the code."""

from pathlib import Path

import pytest

from tonnage.config import LintSettings, Settings, VocabularySettings, keys_table, load_settings
from tonnage.errors import ConfigError, MarkerError
from tonnage.lint.reference import rules_in_full, rules_table
from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS
from tonnage.markers.problem_text import problem_text
from tonnage.markers.reference import vocabulary_table
from tonnage.markers.requirement import Requirement, requirement_of
from tonnage.markers.selection import Limits, select

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("configuration.md", keys_table(Settings)),
        ("configuration.md", keys_table(VocabularySettings)),
        ("configuration.md", keys_table(LintSettings)),
        ("rules.md", rules_table()),
        ("rules.md", rules_in_full()),
        ("markers.md", vocabulary_table(PRESETS["serving"])),
        ("markers.md", vocabulary_table(PRESETS["minimal"])),
    ],
    ids=["settings", "vocabulary", "lint", "rules", "rules in full", "serving", "minimal"],
)
def test_a_table_is_current(page, table):
    assert f"\n\n{table}\n" in (DOCS / page).read_text(encoding="utf-8"), f"put in:\n{table}"


def shown(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def test_the_wrong_marks_shown_are_told_so():
    with pytest.raises(MarkerError) as caught:
        requirement_of([MarkValue("gpu_1"), MarkValue("gpu_2")], PRESETS["serving"])
    lines = {"gpu_1": [4], "gpu_2": [19]}
    text = problem_text(caught.value, path="tests/test_cache.py", lines=lines)
    assert f"```text\n{text}\n```" in shown("markers.md")


def test_the_tests_left_out_are_told_so():
    big = Requirement(gpus=1, vram_mib=20480, reserved_mib=20480, lifecycle="pre_merge")
    late = Requirement(lifecycle="nightly")
    limits = Limits(max_vram_gib=16, stage="post_merge")
    found = select([("a", big)] * 9 + [("b", late)] * 3, limits, PRESETS["serving"])
    assert f"```text\n{found.summary_line()}\n```" in shown("markers.md")


def test_the_configuration_mistakes_shown_are_told_so(tmp_path):
    table = "[tool.tonnage]\nslots = 0\nvram_margn = 1\n"
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    text = str(caught.value).replace(str(tmp_path), "/repo")
    assert f"```text\nERROR: {text}\n```" in shown("configuration.md")


def test_the_configurations_shown_can_be_loaded(tmp_path):
    blocks = shown("configuration.md").split("```toml\n")[1:]
    assert len(blocks) == 3
    for block in blocks:
        (tmp_path / "pyproject.toml").write_text(block.split("```")[0], encoding="utf-8")
        load_settings(tmp_path)
