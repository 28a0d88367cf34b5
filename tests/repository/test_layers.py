"""The house stands: imports point downward, pure rooms stay pure, the plugin is only a door."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

ROOT = Path(__file__).resolve().parents[2]


def test_import_contracts_hold():
    lint_imports = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_loading_the_plugin_loads_nothing_else_of_ours():
    program = """
import json, sys
import tonnage.plugin.entry
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] == "tonnage")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["tonnage", "tonnage.plugin", "tonnage.plugin.entry"]


def test_a_run_that_does_not_ask_loads_nothing_else_of_ours(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_inert.py").write_text(
        "import sys\n"
        "def test_inert():\n"
        "    loaded = {name for name in sys.modules if name.split('.')[0] == 'tonnage'}\n"
        "    assert loaded == {'tonnage', 'tonnage.plugin', 'tonnage.plugin.entry'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
