"""The page on pitfalls answers each of them once, and the tests that it names exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "design" / "pitfalls.md").read_text(encoding="utf-8")
# An entry goes on as long as its lines are indented.
ENTRY = re.compile(r"^- \*\*C(\d+) [^*]+\*\* · ([a-z ]+)\.((?:.*\n)(?:  .*\n)*)", re.MULTILINE)
ENTRIES = ENTRY.findall(PAGE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_in(file: str) -> frozenset[str]:
    """The test functions of a module, without importing it."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    return frozenset(
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_every_pitfall_is_answered_once_and_in_order():
    assert [int(number) for number, _, _ in ENTRIES] == list(range(1, 63))
    assert PAGE.count("\n- **C") == len(ENTRIES)


@pytest.mark.parametrize(
    ("answer", "text"),
    [pytest.param(answer, text, id=f"C{number}") for number, answer, text in ENTRIES],
)
def test_an_answer_is_held_by_tests_that_exist(answer, text):
    named = TEST.findall(text)
    assert answer in {"yes", "partly", "not yet", "not here"}
    assert named or answer != "yes", "nothing holds it"
    missing = [f"{file}::{name}" for file, name in named if name not in names_in(file)]
    assert not missing


def test_a_test_that_is_not_there_would_be_found():
    assert "test_that_nobody_wrote" not in names_in("tests/repository/test_pitfalls.py")
    assert "test_a_test_that_is_not_there_would_be_found" in names_in(
        "tests/repository/test_pitfalls.py"
    )
