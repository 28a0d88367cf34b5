"""The page about other plugins is complete, and names versions as old as those here at most."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([\w-]+) \| ([\d.]+) \|.*\| `(\w+\.py)` \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "compatibility.md").read_text())


def test_every_plugin_that_is_installed_to_be_tried_has_a_row():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["optional-dependencies"]["dev"]
    names = {re.split(r"[>=]", each)[0] for each in wanted}
    tried = {name for name in names if re.search("pytest|syrupy|anyio|hypothesis", name)}
    assert {name for name, _, _ in ROWS} == tried


@pytest.mark.parametrize(("name", "tried", "module"), ROWS, ids=[name for name, _, _ in ROWS])
def test_a_row_is_held_by_a_test_that_runs_here(name, tried, module):
    text = (ROOT / "tests" / "compat" / module).read_text()
    assert re.search(name.removeprefix("pytest-").replace("-pytest", ""), text)
    installed = tuple(map(int, re.findall(r"\d+", version(name))[:2]))
    assert installed >= (int(tried.split(".")[0]), 0), "older than what the page says was tried"
