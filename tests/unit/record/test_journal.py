"""A journal is written whole lines at a time and read as far as it can be understood."""

import errno
import os

import pytest

from tonnage.errors import RecordError
from tonnage.record import events
from tonnage.record.codec import line_of
from tonnage.record.journal import JOURNAL, JournalWriter, RunInfo
from tonnage.record.outcomes import Outcome
from tonnage.record.reading import is_being_written, read_ends, read_journal
from tonnage.record.totals import Totals, totals_of

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

INFO = RunInfo("20261125-151203-ab12", 1000.0, "/r", "/r/d", ("--pack",), (("tonnage", "1"),))


def finished(node_id, at_s=2.0, outcome=Outcome.PASSED):
    return events.AttemptFinished(at_s, node_id, 1, outcome, 1.0, None, None, "")


EVENTS = (
    events.AttemptStarted(0.5, "a", 1, (), 0, 0),
    finished("a"),
    finished("b", 4.0, Outcome.FAILED),
    events.RunFinished(5.0, 1),
)


def written(directory, closed=True):
    writer = JournalWriter(directory, INFO)
    for event in EVENTS:
        writer.add(event)
    writer.flush()
    if closed:
        writer.finish(totals_of(EVENTS))
    writer.close()
    return directory / JOURNAL


def test_what_was_written_is_read(tmp_path):
    path = written(tmp_path)
    journal = read_journal(tmp_path)
    assert (journal.info, journal.events, journal.damage) == (INFO, EVENTS, None)
    assert journal.is_closed
    assert journal.totals == Totals(0, (("passed", 1), ("failed", 1)), 3.5, 1)
    assert read_ends(tmp_path) == (INFO, journal.totals)
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_its_last_line_the_figures_come_from_the_events(tmp_path):
    written(tmp_path, closed=False)
    journal = read_journal(tmp_path)
    assert not journal.is_closed
    assert journal.totals == totals_of(EVENTS)
    assert read_ends(tmp_path) == (INFO, None)


def test_a_journal_cut_anywhere_is_read_up_to_the_cut(tmp_path):
    path = written(tmp_path)
    data = path.read_bytes()
    for size in range(len(data.splitlines(keepends=True)[0]), len(data)):
        path.write_bytes(data[:size])
        journal = read_journal(tmp_path)
        whole = data[:size].count(b"\n") - 1
        assert journal.events == EVENTS[:whole]
        is_cut = not data[:size].endswith(b"\n")
        assert (journal.damage is not None) == is_cut


@pytest.mark.parametrize("garbage", [b"\0\0\0\0", b"\xff\xfe", b"[1", b'{"no": "event"}', b"7"])
def test_damage_in_the_middle_is_said_with_its_place(tmp_path, garbage):
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], garbage + b"\n", *lines[3:]]))
    journal = read_journal(tmp_path)
    assert journal.events == EVENTS[:1]
    (remark,) = journal.remarks()
    offset = len(lines[0]) + len(lines[1])
    assert remark.startswith(f"the journal is damaged at line 3 (byte {offset})")
    assert remark.endswith("read up to there: 1 event")


@pytest.mark.parametrize("first", [b"", b"{}\n", b"null\n", b"\0\n", b'{"schema": 1}\n'])
def test_a_journal_without_its_first_line_cannot_be_used(tmp_path, first):
    (tmp_path / JOURNAL).write_bytes(first)
    with pytest.raises(RecordError, match="first line"):
        read_journal(tmp_path)


def test_a_journal_that_grows_may_end_in_the_middle_of_a_line(tmp_path):
    writer = JournalWriter(tmp_path, INFO)
    assert is_being_written(tmp_path)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write(line_of(EVENTS[0]) + '{"is":"Att')
    assert read_journal(tmp_path).damage is None
    writer.close()
    assert not is_being_written(tmp_path)
    assert read_journal(tmp_path).damage is not None


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    writer = JournalWriter(tmp_path, INFO)
    writer.add(EVENTS[0])
    writer.flush()
    real = os.write

    def full(fd, data):
        if len(data) > 10:
            return real(fd, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    writer.add(EVENTS[1])
    monkeypatch.setattr(os, "write", lambda fd, data: full(fd, data[:15]))
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    monkeypatch.undo()
    writer.close()
    journal = read_journal(tmp_path)
    assert (journal.events, journal.damage) == (EVENTS[:1], None)


def test_a_journal_that_was_removed_meanwhile_is_told_at_the_end(tmp_path):
    writer = JournalWriter(tmp_path, INFO)
    (tmp_path / JOURNAL).unlink()
    writer.add(EVENTS[0])
    with pytest.raises(OSError, match="removed"):
        writer.finish(totals_of(()))
    writer.close()
