"""What is kept between runs comes back as it was, or not at all; shares lose nothing."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.lint import remembered
from tonnage.lint.checking import check_paths
from tonnage.lint.codec import decode, encode
from tonnage.lint.outlining import outline_of
from tonnage.lint.parallel import ShareError, map_shares, split
from tonnage.lint.project import Project
from tonnage.lint.store import OutlineStore

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

TESTS = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py"))[:12], ids=lambda path: path.stem)
def test_an_outline_comes_back_from_its_text(path):
    outline = outline_of(path.read_bytes())
    assert outline.body
    assert decode(encode(outline)) == outline


@given(st.text() | st.recursive(st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_other_text_is_refused(text):
    with pytest.raises(ValueError):
        decode(text)


def test_the_store_gives_back_what_was_saved_and_leaves_out_garbage(tmp_path):
    store = OutlineStore(tmp_path)
    assert store.load() == {}
    store.save({"old": "[1]"}, {"new": "[2]"}, ["new"])
    assert store.load() == {"new": "[2]", "old": "[1]"}
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace("[2]", "[3]"))
    assert store.load() == {"old": "[1]"}
    file.write_bytes(b"\xff\x00")
    assert store.load() == {}


def test_a_second_check_gives_the_same_from_stored_outlines(tmp_path):
    (tmp_path / "test_a.py").write_text("import pytest\n@pytest.mark.unit\ndef test_a(): pass\n")
    cache = tmp_path / "cache"

    def names(reading):
        return [(test.node_id, test.marks[0].value.name) for test in reading.tests]

    first = check_paths([tmp_path], Project(tmp_path), names, jobs=1, cache=cache)
    stored = OutlineStore(cache).load()
    second = check_paths([tmp_path], Project(tmp_path), names, jobs=1, cache=cache)
    assert first.results == second.results == ([("test_a.py::test_a", "unit")],)
    assert len(stored) == 1
    assert str(tmp_path / "test_a.py") in first.depends_on


@pytest.fixture
def result(tmp_path):
    """A remembered result, on one file in one directory."""
    looked_at = tmp_path / "tree"
    looked_at.mkdir()
    (looked_at / "test_a.py").write_text("")
    cache = str(tmp_path / "cache")
    began = remembered.begin_reading(remembered.begin(cache))
    files = [str(looked_at), str(looked_at / "test_a.py"), str(looked_at / "absent.ini")]
    remembered.remember(cache, {"arguments": ["x"]}, files, {"text": "found"}, began)
    return cache, looked_at


def test_a_result_is_given_again_while_nothing_changes(result):
    cache, looked_at = result
    (looked_at / "__pycache__").mkdir()  # what Python leaves there changes nothing
    assert remembered.recall(cache, {"arguments": ["x"]}) == {"text": "found"}
    assert remembered.recall(cache, {"arguments": ["y"]}) is None


@pytest.mark.parametrize("change", ["content", "new file", "absent file", "removed", "garbage"])
def test_a_result_is_forgotten_when_something_changes(result, change):
    cache, looked_at = result
    if change == "content":
        (looked_at / "test_a.py").write_text("x = 1")
    elif change == "new file":
        (looked_at / "test_b.py").write_text("")
    elif change == "absent file":
        (looked_at / "absent.ini").write_text("")
    elif change == "removed":
        (looked_at / "test_a.py").unlink()
    else:
        for path in Path(cache).glob("result-*"):
            path.write_text("{")
    assert remembered.recall(cache, {"arguments": ["x"]}) is None


def test_what_changed_since_the_reading_began_is_not_remembered(tmp_path):
    cache = str(tmp_path / "cache")
    began = remembered.begin_reading(remembered.begin(cache))
    (tmp_path / "test_a.py").write_text("")
    remembered.remember(cache, {}, [str(tmp_path / "test_a.py")], {}, began)
    assert remembered.recall(cache, {}) is None


@given(st.lists(st.integers(0, 1000)), st.integers(1, 8))
def test_shares_keep_every_item_in_order(sizes, jobs):
    items = list(range(len(sizes)))
    shares = split(items, sizes, jobs)
    assert [item for share in shares for item in share] == items
    assert len(shares) <= jobs
    assert all(shares)


def test_shares_are_worked_on_in_other_processes():
    met = multiprocessing.Barrier(3)
    begun = []

    def work(share):
        if not begun:
            begun.append(share)
            met.wait(60)  # no process takes a second share before each has its first
        return [item * 2 for item in share]

    items = list(range(100))
    results, pids = map_shares(work, os.getpid, items, [1] * 100, 3)
    assert [item for result in results for item in result] == [item * 2 for item in items]
    assert len(results) > 3
    assert len(set(pids)) == 3


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: 1 / 0, "a process that read files failed; see above"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was ended by SIGKILL"),
    ],
    ids=["raises", "killed"],
)
def test_a_process_that_ends_early_is_an_error(capfd, end, said):
    here = os.getpid()
    taken = multiprocessing.Event()

    def ends_elsewhere(share):
        if os.getpid() != here:
            taken.set()
            end()
        assert taken.wait(60)  # else nothing might be left for the other process

    with pytest.raises(ShareError, match=said):
        map_shares(ends_elsewhere, int, [1, 2], [1, 1], 2)
    assert ("ZeroDivisionError" in capfd.readouterr().err) == ("above" in said)
