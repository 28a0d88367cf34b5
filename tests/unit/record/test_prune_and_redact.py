"""Which runs are removed, and which parts of a command line are not kept."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.record.journal import JOURNAL, JournalWriter, RunInfo
from tonnage.record.prune import Keep, Stored, doomed, prune
from tonnage.record.redact import redacted
from tonnage.record.runs import find_run, recorded_run
from tonnage.record.store import new_run, new_run_id, run_directories

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

NOW_S = 1_000_000_000.0
DAY_S = 86400
MIB = 1024 * 1024


def stored(name, days=0.0, mib=1, has_journal=True):
    return Stored(Path(name), NOW_S - days * DAY_S, mib * MIB, has_journal)


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (Keep(days=30, runs=100, size_mib=512), ["old"]),
        (Keep(days=90, runs=2, size_mib=512), ["big", "old"]),
        (Keep(days=90, runs=100, size_mib=50), ["big"]),
        (Keep(days=0, runs=1, size_mib=0), ["second", "big", "old"]),
    ],
)
def test_old_many_and_large_runs_go(keep, gone):
    runs = [stored("new"), stored("second", 1), stored("big", 2, 100), stored("old", 60)]
    assert [run.directory.name for run in doomed(runs, keep, NOW_S)] == gone


def test_a_directory_without_a_journal_may_be_a_run_that_begins():
    runs = [stored("new"), stored("fresh", 0.001, has_journal=False)]
    assert doomed(runs, Keep(0, 1, 0), NOW_S) == []
    runs[1] = stored("stale", 1, has_journal=False)
    assert doomed(runs, Keep(30, 100, 512), NOW_S) == runs[1:]


@given(
    st.lists(st.builds(stored, st.just("r"), st.floats(0, 100), st.integers(0, 300))),
    st.builds(Keep, st.floats(0, 50), st.integers(1, 10), st.floats(0, 600)),
)
def test_what_stays_keeps_to_the_limits(runs, keep):
    going = doomed(runs, keep, NOW_S)
    assert not runs or not any(run is runs[0] for run in going)
    staying = [run for run in runs if not any(run is each for each in going)]
    assert len(staying) <= max(1, keep.runs)
    assert sum(run.size_bytes for run in staying[1:]) <= keep.size_mib * MIB


def test_a_run_that_goes_on_is_never_removed(tmp_path):
    writers = []
    for second in range(3):
        directory = new_run(tmp_path, new_run_id(1000.0 + second))
        info = RunInfo(directory.name, 0.0, "/", "/", (), ())
        writers.append(JournalWriter(directory, info))
    oldest, middle, newest = reversed(run_directories(tmp_path / ".tonnage"))
    writers[1].close()
    writers[2].close()
    assert recorded_run(oldest).state == "running"
    assert recorded_run(middle).state == "interrupted"
    assert prune(tmp_path, Keep(0, 1, 0)) == [middle.name]
    assert run_directories(tmp_path / ".tonnage") == [newest, oldest]
    assert find_run(tmp_path / ".tonnage", oldest.name[:-2]) == oldest
    (newest / JOURNAL).write_text("garbage")
    assert recorded_run(newest).ending == "damaged"
    writers[0].close()


def test_secrets_are_not_kept():
    given_arguments = [
        *("--pack", "-k", "test_token", "tests/test_password.py::test_secret[token=a]"),
        *("--api-token", "abc", "--hf-token=def", "--password", "-x", "-o", "my_secret=ghi"),
        *("--max-tokens", "100", "--url=https://me:pw@host/x", "hf_" + "a" * 30),
    ]
    assert redacted(given_arguments) == (
        *("--pack", "-k", "test_token", "tests/test_password.py::test_secret[token=a]"),
        *("--api-token", "[redacted]", "--hf-token=[redacted]", "--password", "-x", "-o"),
        *("my_secret=[redacted]", "--max-tokens", "100", "--url=https://[redacted]@host/x"),
        "[redacted]",
    )
