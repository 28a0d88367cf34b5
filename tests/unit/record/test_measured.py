"""What runs teach about a test, and the file that keeps it."""

import pytest

from tonnage.record import events
from tonnage.record.journal import JournalWriter, RunInfo
from tonnage.record.measured import Measured, measured_by
from tonnage.record.measured_file import add_measured, load_measured
from tonnage.record.outcomes import Outcome
from tonnage.record.store import MEASURED, new_run, new_run_id
from tonnage.record.totals import totals_of

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

L4 = "L4, 22528 MiB"
CARDS = (
    events.GpuDescription("u0", "GPU 0", "L4", 22528),
    events.GpuDescription("u1", "GPU 1", "L4", 22528),
)


def run(*attempts, wall_s=1000.0):
    """The events of a run; each attempt is (outcome, seconds, peak) of test `t` on one GPU."""
    happened = [events.RunStarted(0.0, wall_s, CARDS, 2, "")]
    for number, (outcome, seconds, peak_mib) in enumerate(attempts, 1):
        happened += [
            events.AttemptStarted(0.0, "t", number, ("u0",), 100, 0),
            events.AttemptFinished(1.0, "t", number, outcome, seconds, peak_mib, "simulated", ""),
        ]
    return happened


def known_after(*runs):
    known = {}
    for happened in runs:
        known = measured_by(known, happened)
    return known.get("t", Measured())


def test_passes_teach_the_newest_few_and_their_highest_peak_holds():
    known = known_after(*(run((Outcome.PASSED, n, 1000 - n)) for n in range(20)))
    assert known.durations_s == tuple(map(float, range(10, 20)))
    assert known.peaks_mib == {L4: (985, 984, 983, 982, 981)}
    assert known.peak_mib(L4) == 985
    assert known.peak_mib("H100, 81920 MiB") is None


@pytest.mark.parametrize(
    "outcome",
    [each for each in Outcome if each not in (Outcome.PASSED, Outcome.OUT_OF_MEMORY)],
)
def test_other_outcomes_teach_only_that_more_is_needed(outcome):
    assert known_after(run((outcome, 1.0, 500))) == Measured()
    before = run((Outcome.PASSED, 1.0, 400))
    assert known_after(before, run((outcome, 9.0, 300))) == known_after(before)
    more = known_after(before, run((outcome, 9.0, 500)))
    assert (more.durations_s, more.peak_mib(L4)) == ((1.0,), 500)


def test_after_an_out_of_memory_the_test_is_weighed_anew():
    before = run((Outcome.PASSED, 1.0, 400))
    assert known_after(before, run((Outcome.OUT_OF_MEMORY, 1.0, 300))).peak_mib(L4) is None
    retried = run((Outcome.OUT_OF_MEMORY, 1.0, 300), (Outcome.PASSED, 1.0, 900))
    assert known_after(before, retried).peaks_mib == {L4: (900,)}


def test_what_was_not_measured_is_not_known_and_a_zero_is():
    assert known_after(run((Outcome.PASSED, 1.0, None))).peaks_mib == {}
    assert known_after(run((Outcome.PASSED, 1.0, 0))).peak_mib(L4) == 0


def test_a_gang_teaches_no_peak():
    happened = [
        events.RunStarted(0.0, 1.0, CARDS, 2, ""),
        events.AttemptStarted(0.0, "t", 1, ("u0", "u1"), 100, 0),
        events.AttemptFinished(1.0, "t", 1, Outcome.PASSED, 1.0, 500, "simulated", ""),
    ]
    assert known_after(happened) == Measured((1.0,), {}, 1.0)


def test_a_test_that_has_not_run_for_half_a_year_is_forgotten():
    known = measured_by({"gone": Measured((1.0,), {}, 0.0)}, run(wall_s=200 * 86400.0))
    assert known == {}


def recorded(root, wall_s, happened, closed=True):
    directory = new_run(root, new_run_id(wall_s))
    writer = JournalWriter(directory, RunInfo(directory.name, wall_s, "/", "/", (), ()))
    for event in happened:
        writer.add(event)
    if closed:
        writer.finish(totals_of(happened))
    writer.flush()
    writer.close()
    add_measured(root, directory.name, happened)


@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"schema": 99, "tests": {}}', "\x00"])
def test_a_damaged_file_is_made_again_from_the_journals(tmp_path, damage):
    assert load_measured(tmp_path) == {}
    recorded(tmp_path, 1000.0, run((Outcome.PASSED, 1.0, 400), wall_s=1000.0))
    recorded(tmp_path, 2000.0, run((Outcome.PASSED, 2.0, 500), wall_s=2000.0))
    path = tmp_path / ".tonnage" / MEASURED
    known = load_measured(tmp_path)
    assert known == {"t": Measured((1.0, 2.0), {L4: (400, 500)}, 2000.0)}
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    assert load_measured(tmp_path) == known
    recorded(tmp_path, 3000.0, run((Outcome.PASSED, 3.0, 600), wall_s=3000.0))
    assert load_measured(tmp_path)["t"].durations_s == (1.0, 2.0, 3.0)
