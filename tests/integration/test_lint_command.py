"""`tonnage lint` and `tonnage rule` as they are used: options, exit codes, bad input, the cache."""

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.packed import PATIENCE_S, processes_of

from tonnage.cli.lint import lint
from tonnage.lint import remembered

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

MARKED = """\
import pytest

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def test_marked():
    assert True
"""
UNMARKED = """\
import pytest


@pytest.mark.unit
@pytest.mark.gpu_0
def test_unmarked():
    assert True
"""
SLEEPS = MARKED + "    import time\n    time.sleep(100)\n"
TONNAGE = Path(sys.executable).with_name("tonnage")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one test that breaks a rule and one that does not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TONNAGE_CACHE", raising=False)
    Path("pyproject.toml").write_text(
        "[tool.pytest.ini_options]\nmarkers = ['pre_merge', 'unit', 'gpu_0']\n"
        "[tool.tonnage.lint]\nignore = ['TNG5']\n"
    )
    Path("tests").mkdir()
    Path("tests/test_marked_one.py").write_text(MARKED)
    Path("tests/test_unmarked_one.py").write_text(UNMARKED)
    return tmp_path


@pytest.fixture
def run(project, capsys):
    """Runs `tonnage lint ARGUMENTS` in the project: exit code, output, errors."""

    def run_lint(*arguments):
        status = lint([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_lint


def command(*arguments, **more):
    return subprocess.run(
        [TONNAGE, *arguments], capture_output=True, timeout=PATIENCE_S, check=False, **more
    )


def test_a_finding_is_one_line_and_exit_code_1(run):
    assert run() == (
        1,
        "tests/test_unmarked_one.py:6:5: TNG101 no lifecycle marker\n"
        "Found 1 error: 2 tests in 2 files\n",
        "",
    )


def test_a_clean_suite_is_exit_code_0(run):
    assert run("tests/test_marked_one.py") == (
        0,
        "All checks passed: 1 test in 1 file\n",
        "",
    )


def test_infos_alone_are_exit_code_0(run):
    Path("pyproject.toml").write_text('[tool.tonnage.lint]\nseverity = { TNG101 = "info" }\n')
    status, out, _ = run("--select", "TNG101")
    assert (status, "(info)" in out) == (0, True)


def test_every_format_has_the_finding(run):
    full = run("--format", "full")[1]
    assert "6 | def test_unmarked():\n  |     ^^^^^^^^^^^^^\n" in full
    found = json.loads(run("--format", "json")[1])["findings"]
    assert [each["code"] for each in found] == ["TNG101"]
    (result,) = json.loads(run("--format", "sarif")[1])["runs"][0]["results"]
    assert result["ruleId"] == "TNG101"
    assert run("--format", "github")[1].startswith(
        "::error file=tests/test_unmarked_one.py,line=6,"
    )
    assert ET.fromstring(run("--format", "junit")[1]).get("failures") == "1"
    assert run("--statistics")[1].startswith("1  TNG101 missing-lifecycle")


def test_paths_are_shown_from_where_the_command_runs(run, monkeypatch):
    monkeypatch.chdir("tests")
    assert run()[1].startswith("test_unmarked_one.py:6:5: TNG101")


def test_output_goes_to_a_file_and_the_summary_to_the_terminal(run, project):
    status, out, err = run("--format", "sarif", "--output", "found.sarif")
    assert (status, out, err.splitlines()[0]) == (1, "", "Found 1 error: 2 tests in 2 files")
    assert json.loads(Path("found.sarif").read_text())["version"] == "2.1.0"
    status, out, err = run("--output", "nowhere/found.sarif")
    assert (status, out) == (2, "")
    assert "--output" in err


def test_the_command_line_selects_rules(run):
    Path("tests/test_sleepy_one.py").write_text(SLEEPS)
    assert "TNG405" in run()[1]
    assert "TNG101" not in run("--select", "TNG4")[1]
    assert run("--ignore", "tng1,TNG4")[0] == 0
    # What is asked for by name is checked, whatever the project ignores.
    Path("pyproject.toml").write_text("[tool.tonnage.lint]\nignore = ['TNG405']\n")
    assert "TNG405" not in run()[1]
    assert "TNG405" in run("--select", "TNG405")[1]


def test_a_baseline_accepts_what_is_there_and_reports_what_is_new(run):
    assert run("--baseline", "known.json")[0] == 2
    assert run("--baseline", "known.json", "--update-baseline")[0] == 0
    # A finding is known again where it has moved.
    Path("tests/test_unmarked_one.py").write_text(f"# moved\n\n{UNMARKED}")
    status, out, _ = run("--baseline", "known.json")
    assert (status, "1 accepted by the baseline" in out) == (0, True)
    Path("tests/test_unmarked_two.py").write_text(UNMARKED)
    status, out, _ = run("--baseline", "known.json")
    assert (status, out.count("TNG101")) == (1, 1)
    assert out.startswith("tests/test_unmarked_two.py")
    # Another part of the suite accepted: the rest of the baseline stays.
    run("tests/test_unmarked_two.py", "--baseline", "known.json", "--update-baseline")
    assert run("--baseline", "known.json")[0] == 0
    Path("tests/test_unmarked_two.py").write_text(MARKED)
    assert "1 accepted finding no longer there" in run("--baseline", "known.json")[2]


def test_fixes_are_shown_then_made_and_then_done(run):
    Path("pyproject.toml").write_text(
        "[tool.tonnage.lint]\nignore = ['TNG5']\nimplied = { 'tests/**' = ['pre_merge'] }\n"
    )
    file = Path("tests/test_unmarked_one.py")
    status, out, err = run("--diff")
    assert (status, err) == (1, "Would fix 1 finding in 1 file.\n")
    assert "+@pytest.mark.pre_merge\n" in out
    assert file.read_text() == UNMARKED
    status, out, _ = run("--fix")
    assert (status, out.splitlines()[0]) == (0, "Fixed 1 finding.")
    assert file.read_text().replace("@pytest.mark.pre_merge\n", "") == UNMARKED
    fixed = file.read_bytes()
    assert run("--fix")[:2] == (0, "All checks passed: 2 tests in 2 files\n")
    assert file.read_bytes() == fixed


def test_listed_tests_have_their_marks(run):
    Path("tests/test_listed_one.py").write_text(
        "import pytest\n\n@pytest.mark.max_vram_gib(4.5)\n@pytest.mark.timeout(func_only=True,"
        " timeout=LIMIT)\n@pytest.mark.parametrize('a', [1, 2])\ndef test_a(a): ...\n"
    )
    document = json.loads(run("--list-tests", "--format", "json", "tests/test_listed_one.py")[1])
    (test,) = document["tests"]
    assert (test["id"], test["path"], test["line"]) == (
        "tests/test_listed_one.py::test_a",
        "tests/test_listed_one.py",
        6,
    )
    marks = {mark["name"]: mark for mark in test["marks"]}
    assert marks["max_vram_gib"]["args"] == [4.5]
    assert marks["timeout"]["kwargs"] == {"func_only": True, "timeout": {"python": "?"}}
    assert (
        "tests/test_listed_one.py::test_a  tests/test_listed_one.py:6  " in run("--list-tests")[1]
    )


def test_explain_says_what_is_not_judged_and_why(run):
    Path("tests/test_unclear_one.py").write_text(
        "import elsewhere\n\n@elsewhere.decorated\ndef test_a(): ...\n"
    )
    assert "test_unclear_one.py:" not in run()[1].replace("TNG101", "")
    explained = run("--explain")[1]
    assert "tests/test_unclear_one.py: test_a: not checked for TNG101" in explained


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no nowhere"),
        (["tests/test_marked_one.py::test_marked"], "there is no tests/test_marked_one.py::"),
        (["--select", "TNG999"], 'there is no rule "TNG999"'),
        (["--select", "unit"], 'there is no rule "UNIT"'),
        (["--formt", "json"], "--formt"),
        (["--format", "xml"], "xml"),
        (["--update-baseline"], "--baseline FILE"),
        (["--unsafe-fixes"], "--fix"),
        (["--baseline", "tests"], "--baseline"),
        (["--baseline", "pyproject.toml"], "is no baseline"),
        (["--list-tests", "--fix"], "--list-tests --fix"),
        (["--list-tests", "--format", "junit"], "--list-tests"),
        (["--jobs", "-1"], "--jobs"),
        (["--jobs", "many"], "--jobs"),
    ],
)
def test_a_mistake_in_the_command_is_one_message_and_exit_code_2(run, arguments, said):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[tool.tonnage.lint]\nselct = []", 'did you mean "select"?'),
        ("[tool.tonnage.lint]\nselect = ['TNG999']", 'there is no rule "TNG999"'),
        ("[tool.tonnage.lint", "pyproject.toml: cannot be read"),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_its_file(run, settings, said):
    Path("pyproject.toml").write_text(settings)
    status, out, err = run()
    assert (status, out) == (2, "")
    assert said in err


def test_bad_files_are_findings_and_the_rest_is_checked(run):
    bad = {
        "test_old_one.py": b"def test_old():\n    print 'old'\n",
        "test_broken_one.py": b"def test_broken(:\n",
        "test_latin_one.py": b"# -*- coding: utf-8 -*-\nNAME = '\xe9'\n",
        "test_coding_one.py": b"# -*- coding: nonsense -*-\n",
        "test_nul_one.py": b"a = 1\0\n",
    }
    for name, content in bad.items():
        Path("tests", name).write_bytes(content)
    Path("tests/test_gone_one.py").symlink_to("nowhere.py")
    Path("tests/loop").symlink_to("../tests")
    Path("tests/test_round_one.py").symlink_to("test_round_one.py")
    for name in ("test_pipe_one.py", "launch.sh"):
        os.mkfifo(f"tests/{name}")  # nobody writes there: to read it would be to wait for ever
    status, out, err = run()
    assert (status, err) == (1, "")
    for name in [*bad, "test_gone_one.py", "test_round_one.py", "test_pipe_one.py"]:
        assert f"tests/{name}:" in out, name
    assert out.count("TNG901") == len(bad) + 3
    assert "tests/test_unmarked_one.py:6:5: TNG101" in out
    assert "loop" not in out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_finding(run):
    Path("tests/test_marked_one.py").chmod(0)
    assert "tests/test_marked_one.py:1:1: TNG901" in run()[1]


def test_no_tests_is_no_mistake(run):
    Path("empty").mkdir()
    assert run("empty") == (0, "No test files found.\n", "")


def test_the_kept_answer_is_the_same_and_goes_with_a_change(run, project, monkeypatch):
    # What changes here changes by size or name; that times alone are seen too is tested there.
    monkeypatch.setattr(remembered, "_changed_ns", lambda path: 0)
    first = run()
    kept = list((project / ".tonnage/cache/lint").glob("result-*"))
    assert len(kept) == 1
    content = json.loads(kept[0].read_text())
    content["result"]["out"] = "from the cache\n"
    kept[0].write_text(json.dumps(content))
    assert run()[1] == "from the cache\n"
    assert run("--no-cache") == first
    Path("tests/test_unmarked_one.py").write_text(f"{UNMARKED}\n# changed\n")
    assert run() == first
    Path("tests/test_unmarked_two.py").write_text(UNMARKED)
    assert run()[1].count("TNG101") == 2
    Path("pyproject.toml").write_text("[tool.tonnage.lint]\nignore = ['TNG1', 'TNG5']\n")
    assert run()[0] == 0
    Path("conftest.py").write_text("collect_ignore = ['tests/test_unmarked_two.py']\n")
    assert run()[1] == "All checks passed: 2 tests in 2 files\n"


@pytest.mark.parametrize("form", ["concise", "full", "json", "sarif", "github", "junit"])
def test_a_warm_run_prints_the_bytes_of_the_cold(project, form):
    arguments = ["lint", "--format", form]
    cold, warm = (command(*arguments, cwd=project) for _ in range(2))
    assert cold.returncode == warm.returncode == 1
    assert cold.stdout == warm.stdout != b""
    assert cold.stderr == warm.stderr == b""


def test_a_warm_run_starts_nothing_heavy(project):
    arguments = [sys.executable, "-X", "importtime", TONNAGE, "lint"]
    for _ in range(2):
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=project)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tonnage.lint.remembered" in imported
    assert not imported & {"typer", "pydantic", "pytest", "libcst", "argparse", "dataclasses"}


def test_help_starts_without_pytest(project):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", TONNAGE, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "lint" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"pytest", "_pytest", "libcst"}


def test_a_reader_that_goes_away_is_no_mistake(project):
    for number in range(300):
        (project / f"tests/test_more_{number}.py").write_text(UNMARKED)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [TONNAGE, "lint"], stdout=writing, stderr=subprocess.PIPE, check=False, cwd=project
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_ends_quietly_with_all_its_processes(project):
    body = "".join(UNMARKED.replace("unmarked", f"case_{case}") for case in range(300))
    for number in range(200):
        (project / f"tests/test_many_{number}.py").write_text(body)
    started = subprocess.Popen(
        [TONNAGE, "lint", "--jobs", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=project,
        env={**os.environ, "LINT_TEST": str(project)},
    )
    while len(processes_of(f"LINT_TEST={project}")) < 3:
        assert started.poll() is None
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=PATIENCE_S)
    assert (started.returncode, out, err) == (130, b"", b"")
    assert processes_of(f"LINT_TEST={project}") == []


def test_a_rule_explains_itself():
    one = command("rule", "TNG101", text=True)
    assert (one.returncode, one.stdout.splitlines()[0]) == (
        0,
        "TNG101 missing-lifecycle (error, fixable)",
    )
    every = command("rule", text=True).stdout.splitlines()
    assert [line[:6] for line in every] == sorted({line[:6] for line in every})
    wrong = command("rule", "TNG110x", text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert 'there is no rule "TNG110x"' in wrong.stderr
