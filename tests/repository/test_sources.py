"""Files of the repository keep the conventions that no other tool checks."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import tonnage

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

ROOT = Path(__file__).resolve().parents[2]
TEST_MODULES = sorted((ROOT / "tests").rglob("test_*.py"))
WRITTEN_BY_US = ("src", "tests", "benchmarks", "examples", "docs", ".ci")

# Each is a pattern and what is wrong with it. The brackets keep this file from matching itself.
UNWANTED = {
    r"[T]ODO|[F]IXME|[X]XX\b": "unfinished work is an issue, not a comment",
    r"^<{7} |^>{7} ": "a merge that was not finished",
    r"\b[b]reakpoint\(\)|\b[s]et_trace\(": "a debugger left behind",
    r"(?<![\w.$~}])/(?:home|Users|root|work)/(?!me\b|user\b)\w": "a path of somebody's machine",
}


def our_files() -> list[Path]:
    """Text files of the repository: what git follows where there is git, else what lies there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        files = [ROOT / line for line in listed.stdout.splitlines()]
    else:
        files = [path for room in WRITTEN_BY_US for path in (ROOT / room).rglob("*")]
        files += [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".yaml"}]
    suffixes = {".py", ".md", ".toml", ".yaml", ".c", ""}
    return [path for path in files if path.is_file() and path.suffix in suffixes]


def test_nothing_unwanted_is_left_in_the_files():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {why}: {line.strip()}"
        for path in our_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for pattern, why in UNWANTED.items()
        if re.search(pattern, line)
    ]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_are_about():
    samples = ("# TO" + "DO: later", "<" * 7 + " ours", "break" + "point()", "/ho" + "me/someone")
    for sample, pattern in zip(samples, UNWANTED, strict=True):
        assert re.search(pattern, sample)


def test_the_version_is_in_the_changelog():
    headings = re.findall(r"^## .*$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert any(tonnage.__version__ in heading for heading in headings), headings


def test_links_between_documents_lead_somewhere():
    link = re.compile(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)")
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in our_files()
        if path.suffix == ".md"
        for target in link.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_names_of_test_modules_are_unique():
    counted = Counter(path.name for path in TEST_MODULES)
    assert [name for name, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("path", TEST_MODULES, ids=lambda path: path.stem)
def test_a_test_module_says_stage_type_and_hardware(path):
    marks = {
        node.attr
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "pytestmark"
        for node in ast.walk(statement.value)
        if isinstance(node, ast.Attribute)
    }
    assert marks & {"pre_merge", "post_merge", "nightly", "weekly", "release"}
    assert marks & {"unit", "integration", "e2e"}
    assert any(re.fullmatch(r"gpu_\d+", mark) for mark in marks)
