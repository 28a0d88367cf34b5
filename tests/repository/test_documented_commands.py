"""Every command shown in README.md and docs/ works.

The convention: a block fenced as `console` is run, one fenced as `text` is not. In a console
block, a line after `$ ` is a command and the other lines are what it prints, for the reader. A
command that is meant to fail ends in a comment `# exit code N`. A block fenced as
`python title="test_x.py"` (or `toml`) is written to that file. Each document is followed from top
to bottom in an empty directory of its own; one that brings no test file gets a small suite.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
EXIT_CODE = re.compile(r"#\s*exit code (\d+)\s*$")

# What .ci/run does already; running it here would run these tests within themselves.
RUN_BY_CI = {"make check", "make test"}

SMALL_SUITE = """
import pytest

@pytest.mark.pre_merge
@pytest.mark.unit
@pytest.mark.gpu_0
def test_without_gpu():
    assert True
"""


@dataclass(frozen=True)
class File:
    """A file that a document has its reader write."""

    name: str
    content: str


@dataclass(frozen=True)
class Command:
    """A command that a document shows."""

    line: str
    exit_code: int


def steps_of(text: str) -> list[File | Command]:
    """What a reader of the document does, in order."""
    steps: list[File | Command] = []
    for block in FENCE.finditer(text):
        info, body = block["info"], block["body"]
        title = TITLE.search(info)
        if title:
            steps.append(File(title[1], body))
        elif info.split()[:1] == ["console"]:
            for line in body.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    expected = EXIT_CODE.search(line)
                    steps.append(Command(line[2:], int(expected[1]) if expected else 0))
    return steps


def environment(directory: Path) -> dict[str, str]:
    """A reader's environment: this interpreter's commands first, nothing of the run around it.

    Its pytest has the usual plugins (conftest.py), not all those that are tried in tests/compat.
    What commands leave in the system's temporary directory goes to one in `directory`.
    """
    scratch = directory / "tmp"
    scratch.mkdir(exist_ok=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS")
        or not name.startswith(("PYTEST_", "TONNAGE_", "CUDA_VISIBLE", "MAKE"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path, "TMPDIR": str(scratch)}


def checkout(directory: Path) -> Path:
    """A copy of this repository that uses the environment which runs this test.

    It is marked as ready, so that make does not install the copy into that environment.
    """
    copy = directory / "checkout"
    if not copy.exists():
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        (copy / ".venv").mkdir()
        (copy / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        (copy / ".venv" / ".ready").touch()
    return copy


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_document_work(document, tmp_path):
    steps = steps_of(document.read_text(encoding="utf-8"))
    project = tmp_path / "project"
    project.mkdir()
    if not any(isinstance(step, File) and step.name.endswith(".py") for step in steps):
        (project / "test_small.py").write_text(SMALL_SUITE)
    for step in steps:
        if isinstance(step, File):
            target = project / step.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(step.content)
        elif step.line.partition("#")[0].strip() not in RUN_BY_CI:
            of_checkout = step.line.startswith("make ") or "examples/" in step.line
            done = subprocess.run(
                ["bash", "-c", step.line],
                cwd=checkout(tmp_path) if of_checkout else project,
                env=environment(tmp_path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == step.exit_code, f"$ {step.line}\n{done.stdout}"


def test_what_is_left_to_ci_is_run_by_ci():
    script = (ROOT / ".ci" / "run").read_text()
    assert all(command in script for command in RUN_BY_CI)


def test_a_document_is_read_as_the_convention_says():
    text = (
        '```python title="test_a.py"\nassert True\n```\n'
        "```console\n$ pytest -x  # exit code 1\noutput\n$ echo \\\n    two\n```\n"
        "```text\n$ rm -rf everything\n```\n"
    )
    assert steps_of(text) == [
        File("test_a.py", "assert True\n"),
        Command("pytest -x  # exit code 1", 1),
        Command("echo      two", 0),
    ]
