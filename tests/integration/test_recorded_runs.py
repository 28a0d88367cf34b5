"""Runs on record: listed, shown again, finished after a kill; and never in the way of a run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.test_pack_signals import Run, wait_until
from tests.packed import PATIENCE_S, outcomes, run

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

SUITE = """
import pytest

def test_passes(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_fails(n):
    print("said before it failed")
    assert n == 0

def test_skips(): pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_xfails(): assert False
"""
COUNTS = {"passed": 1, "failed": 2, "skipped": 1, "xfailed": 1}


def tonnage(*args, cwd):
    """The installed command."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("tonnage")), *args],
        cwd=cwd,
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PYTEST_XDIST_")
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def journals(directory):
    return sorted((Path(directory) / ".tonnage" / "runs").glob("*/journal.jsonl"))


def runs(directory):
    return json.loads(tonnage("runs", "--json", cwd=directory).stdout)


@pytest.fixture
def recorded(pytester):
    pytester.makepyfile(test_it=SUITE)
    assert run(pytester, "--junitxml=live.xml").parseoutcomes() == COUNTS
    return pytester.path


def test_a_run_is_listed_and_shown_again_as_it_was(recorded):
    (entry,) = runs(recorded)
    assert (entry["state"], entry["ending"], entry["exit_status"]) == ("finished", "failed", 1)
    assert entry["counts"] == COUNTS
    assert entry["id"] in tonnage("runs", cwd=recorded).stdout
    # A conftest that cannot be imported, and options of the project, have no part in it.
    (recorded / "conftest.py").write_text("raise RuntimeError")
    (recorded / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    again = tonnage(
        *("replay", entry["id"][:13], "-rA", "--junitxml", "again.xml", "--trace", "trace.json"),
        cwd=recorded,
    )
    assert again.returncode == 0
    assert "2 failed, 1 passed, 1 skipped, 1 xfailed" in again.stdout
    assert "FAILED test_it.py::test_fails[2] - assert 2 == 0" in again.stdout
    assert "said before it failed" in again.stdout
    assert "SKIPPED [1] test_it.py:10: not today" in again.stdout
    assert "= tonnage =" in again.stdout
    assert outcomes(recorded / "again.xml") == outcomes(recorded / "live.xml")
    assert json.loads((recorded / "trace.json").read_text())["otherData"]["tests"] == 5
    told = json.loads(tonnage("replay", "--json", cwd=recorded).stdout)
    by_id = {attempt["node_id"]: attempt for attempt in told["attempts"]}
    (report,) = by_id["test_it.py::test_fails[1]"]["reports"]
    assert report["sections"] == [["Captured stdout call", "said before it failed\n"]]
    assert (recorded / ".tonnage" / ".gitignore").read_text() == "*\n"
    assert (recorded / ".tonnage").stat().st_mode & 0o077 == 0


def test_what_failed_runs_again_with_the_runs_own_arguments(recorded):
    (recorded / "test_it.py").write_text(SUITE.replace("assert n == 0", "assert n == 2"))
    done = tonnage("rerun", "--failed", "-v", "--junitxml=again.xml", cwd=recorded)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert outcomes(recorded / "again.xml") == {
        "test_it::test_fails[1]": "failure",
        "test_it::test_fails[2]": "passed",
    }
    newest, oldest = runs(recorded)
    assert newest["parent"] == oldest["id"]
    assert newest["arguments"][: len(oldest["arguments"])] == oldest["arguments"]
    # And once more from there: one is left.
    tonnage("rerun", newest["id"], "--failed", "--junitxml=third.xml", cwd=recorded)
    assert list(outcomes(recorded / "third.xml")) == ["test_it::test_fails[1]"]


def test_a_file_that_cannot_be_imported_runs_again_when_it_can(pytester):
    pytester.makepyfile(
        test_good="def test_good(): pass", test_bad="raise OSError('no such thing')"
    )
    assert run(pytester).ret == pytest.ExitCode.INTERRUPTED
    assert "OSError: no such thing" in tonnage("replay", cwd=pytester.path).stdout
    pytester.makepyfile(test_bad="def test_a(): pass\ndef test_b(): pass")
    done = tonnage("rerun", "--failed", cwd=pytester.path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_run_is_finished_by_exactly_what_is_left(tmp_path):
    packed = Run(tmp_path)
    packed.wait_for("running0")
    packed.read_until("test_quick PASSED")
    (entry,) = runs(tmp_path)
    assert entry["state"] == "running"
    # The tests that wait run now: exactly they and those behind them are unfinished.
    packed.process.send_signal(signal.SIGKILL)
    packed.process.wait()
    wait_until(lambda: runs(tmp_path)[0]["state"] == "interrupted")
    shown = tonnage("replay", cwd=tmp_path).stdout
    assert "4 of 5 tests did not finish" in shown
    assert "1 passed" in shown
    (tmp_path / "go").touch()
    done = tonnage("rerun", "--unfinished", "--junitxml=rest.xml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(tmp_path / "rest.xml") == {
        f"test_it::test_waits[{n}]": "passed" for n in range(4)
    }
    done = tonnage("rerun", "--unfinished", "--failed", cwd=tmp_path)
    assert (done.returncode, "left nothing to do" in done.stdout) == (0, True)


def test_a_damaged_journal_is_used_up_to_the_damage_and_said_so(recorded):
    (journal,) = journals(recorded)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    shown = tonnage("replay", cwd=recorded)
    assert shown.returncode == 0
    assert "the journal is damaged at line 5" in shown.stdout
    journal.write_text("nothing like a journal\n")
    assert "its journal cannot be read" in tonnage("runs", cwd=recorded).stdout
    refused = tonnage("replay", cwd=recorded)
    assert (refused.returncode, "first line" in refused.stderr) == (2, True)
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("way", ["no directory", "full disk"])
def test_a_run_that_cannot_be_recorded_says_so_once_and_goes_on(pytester, way):
    pytester.makepyfile(test_it=SUITE)
    if way == "no directory":
        (pytester.path / ".tonnage").touch()
    else:
        pytester.makepyfile(
            full="""
            import os
            from tonnage.plugin import recording

            class Full(recording.JournalWriter):
                def __init__(self, *args):
                    super().__init__(*args)
                    full = os.open("/dev/full", os.O_WRONLY)
                    os.dup2(full, self._fd)
                    os.close(full)

            recording.JournalWriter = Full
            """
        )
        pytester.syspathinsert()
    extra = ["-p", "full"] if way == "full disk" else []
    result = run(pytester, "-p", "no:cacheprovider", *extra)
    assert result.parseoutcomes() == COUNTS
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    notes = [line for line in result.outlines if "not recorded" in line]
    assert len(notes) == 1
    if way == "full disk":
        assert "No space left" in notes[0]


def test_two_runs_at_once_are_both_recorded_and_both_learned_from(pytester):
    for name in ("one", "two"):
        pytester.makepyfile(
            **{
                f"test_{name}": """
                import os, time
                def test_meets():
                    open(f"{__name__}.here", "w").close()
                    while len([f for f in os.listdir() if f.endswith(".here")]) < 2:
                        time.sleep(0.01)
                """
            }
        )
    command = [sys.executable, "-m", "pytest", "--pack", "--gpus", "none"]
    both = [
        subprocess.Popen(
            [*command, f"test_{name}.py"], cwd=pytester.path, stdout=subprocess.DEVNULL
        )
        for name in ("one", "two")
    ]
    assert [each.wait(PATIENCE_S) for each in both] == [0, 0]
    assert [entry["state"] for entry in runs(pytester.path)] == ["finished", "finished"]
    known = json.loads((pytester.path / ".tonnage" / "measured.json").read_text())
    assert set(known["tests"]) == {"test_one.py::test_meets", "test_two.py::test_meets"}


def test_bad_input_is_told_in_a_sentence(recorded, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for args, cwd, text in (
        (["runs"], elsewhere, "no recorded runs"),
        (["replay", "1999"], recorded, 'begins with "1999"'),
        (["rerun"], recorded, "--failed, --unfinished, or both"),
        (["runs", "prune", "--keep-runs", "0"], recorded, "Invalid value"),
    ):
        done = tonnage(*args, cwd=cwd)
        assert done.returncode == 2
        assert text in done.stderr
        assert "Traceback" not in done.stderr


UNMARKED = """
import os, time
from tonnage.testkit import simgpu

def work(gib):
    with simgpu.allocate(gib):
        time.sleep(SECONDS)

SECONDS = 0.3
def test_small(): work(4)
def test_medium(): work(9)
def test_tokenizer(): assert os.environ["CUDA_VISIBLE_DEVICES"] != ""
"""


def reserved(directory):
    """MiB reserved for each test in the newest run (None: a whole card), and its outcome."""
    lines = [json.loads(line) for line in journals(directory)[-1].read_text().splitlines()]
    planned = next(line for line in lines if line.get("is") == "TestsCollected")["tests"]
    return {test["node_id"].partition("::")[2]: test["reserved_mib"] for test in planned}


def test_the_first_run_weighs_and_the_second_packs(pytester):
    pytester.makepyfile(test_it=UNMARKED)
    pytester.makepyprojecttoml("[tool.tonnage]\nsample_interval_s = 0.02\n")
    on_a_card = ["--gpus", "sim:1x24", "--slots", "3"]
    first = run(pytester, *on_a_card)
    assert first.parseoutcomes() == {"passed": 3}
    first.stdout.fnmatch_lines(["note: 3 tests without*each on a whole GPU*to be weighed*"])
    assert set(reserved(pytester.path).values()) == {None}
    second = run(pytester, *on_a_card)
    assert second.parseoutcomes() == {"passed": 3}
    second.stdout.fnmatch_lines(["note: 3 tests without*packed by what earlier runs measured"])
    assert reserved(pytester.path) == {
        "test_small": 4506,
        "test_medium": 10138,  # a tenth more than was seen
        "test_tokenizer": 0,
    }
    # On another kind of card nothing is known.
    run(pytester, "--gpus", "sim:1x16")
    assert set(reserved(pytester.path).values()) == {None}
    # It grows: that is told, and the next run reserves more.
    pytester.makepyfile(test_it=UNMARKED.replace("work(4)", "work(6)"))
    grown = run(pytester, *on_a_card)
    grown.stdout.fnmatch_lines(["note: test_it.py::test_small took 6.0 GiB, more than the 4.4 *"])
    # It runs out of memory: it is weighed anew.
    pytester.makepyfile(test_it=UNMARKED.replace("work(9)", "work(90)"))
    run(pytester, *on_a_card)
    assert reserved(pytester.path)["test_small"] == 6759
    run(pytester, *on_a_card, "--undeclared", "learn")
    assert reserved(pytester.path)["test_medium"] is None
