"""Every rule keeps its word: it finds what its bad example shows, and nothing in the good one."""

from datetime import date
from pathlib import Path

import pytest

from tonnage.config import LintSettings, Settings, VocabularySettings, keys
from tonnage.lint.check import check, selected_rules
from tonnage.lint.context import context_of
from tonnage.lint.elsewhere import find_elsewhere
from tonnage.lint.model import Finding
from tonnage.lint.project import Project
from tonnage.lint.read import read_paths
from tonnage.lint.reference import rule_text
from tonnage.lint.rule import Rule
from tonnage.lint.rules import RULES
from tonnage.lint.rust import check_rust

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

PREAMBLE = "import os, time, numpy\nimport pytest\n\n"


def settings_for(rule: Rule) -> Settings:
    renamed = {"gpu_1": "one_gpu"} if rule.name == "replaced-marker" else {}
    return Settings(
        lint=LintSettings(largest_card_gib=80.0),
        vocabulary_changes=VocabularySettings(rename=renamed),
    )


def written(directory: Path, rule: Rule, example: str) -> None:
    """The example as a file; its first line may say where it lies."""
    first = example.split("\n", 1)[0].lstrip("/# ")
    is_place = first.endswith((".py", ".rs")) and " " not in first
    path = directory / (first if is_place else "tests/test_example_flow.py")
    if rule.language == "rust":
        path = directory / "lib/runtime" / ("tests/lease.rs" if is_place else "src/lib.rs")
        (directory / "lib/runtime").mkdir(parents=True)
        (directory / "lib/runtime/Cargo.toml").write_text('[package]\nname = "runtime"\n')
    path.parent.mkdir(parents=True, exist_ok=True)
    code = "def test_flow(): ...\n" if example == first else example
    path.write_text(code if rule.language == "rust" else PREAMBLE + code + "\n")


def findings(directory: Path, rule: Rule) -> list[Finding]:
    settings = settings_for(rule)
    reading = read_paths([directory], Project(directory))
    context = context_of(
        settings,
        today=date(2026, 1, 1),
        durations_s={test.node_id: 40.0 for test in reading.tests},
    )
    rules = selected_rules(settings.lint)
    in_rust = check_rust(find_elsewhere([directory], directory), directory, context, rules)
    return [
        found for found in (*check(reading, context, rules), *in_rust) if found.code == rule.code
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_bad_example_is_found(rule, tmp_path):
    written(tmp_path, rule, rule.bad)
    found = findings(tmp_path, rule)
    assert len(found) == 1
    assert found[0].severity is rule.severity
    assert found[0].message
    if rule.fixable and rule.name not in {
        "missing-lifecycle",
        "missing-type",
        "missing-hardware",
    }:
        assert found[0].edits or found[0].unused


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_good_example_is_not(rule, tmp_path):
    written(tmp_path, rule, rule.good)
    assert findings(tmp_path, rule) == []


def test_codes_and_names_are_unique_and_codes_in_order():
    codes = [rule.code for rule in RULES]
    assert codes == sorted(set(codes))
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_names_only_settings_that_there_are_and_explains_itself(rule):
    assert set(rule.keys) <= set(keys(LintSettings))
    text = rule_text(rule)
    assert rule.code in text
    assert rule.explanation in text
    assert all(key in text for key in rule.keys)
    assert rule.summary.endswith(".")


def test_every_figure_that_can_be_set_is_read_by_a_rule():
    read = {key for rule in RULES for key in rule.keys}
    assert read == set(keys(LintSettings)) - {"select", "ignore", "severity"}
