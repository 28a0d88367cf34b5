"""Whatever the test and its need: bisection's bound, in fewer probes."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import OptionError
from tonnage.profile.measure import conclude
from tonnage.profile.model import Cap, CapKind, Phase, PhaseName, ProbeOutcome, ProbeResult, Verdict
from tonnage.profile.search import MOST_REPEATS, MOST_TOO_LARGE, Ended, NextProbe, next_step
from tonnage.profile.space import space_for

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

CARD_MIB = 24 * 1024
SHARES = space_for(CapKind.FRACTION, CARD_MIB, is_simulated=True)


@dataclass
class Suspect:
    """A test with a known need. Its peak is what sampling sees, its words what a failure says."""

    need_mib: int
    seen_mib: int | None
    words_mib: int | None = None
    takes_all: bool = False
    failure: ProbeOutcome = ProbeOutcome.OUT_OF_MEMORY
    ignores: bool = False

    def run(self, cap: Cap, space=SHARES) -> ProbeResult:
        limit_mib = cap.mib(space.capacity_mib)
        if limit_mib < self.need_mib and not self.ignores:
            return ProbeResult(cap, self.failure, 1.0, needed_mib=self.words_mib, reason="no")
        peak_mib = limit_mib if self.takes_all else self.seen_mib
        phases = ()
        if self.takes_all and self.seen_mib:
            load = Phase(PhaseName.LOAD, 0, 1, self.seen_mib, self.seen_mib)
            phases = (load, Phase(PhaseName.CACHE, 1, 2, limit_mib, limit_mib))
        return ProbeResult(cap, ProbeOutcome.PASSED, 1.0, peak_mib=peak_mib, phases=phases)


def play(run, space=SHARES):
    """Search with `run` in place of real probes; the history and how it ended."""
    history = []
    while not isinstance(step := next_step(space, history), Ended):
        history.append(run(step.cap))
        assert len(history) < 40, "the search does not end"
    return history, step


def least(history):
    return min(probe.cap.value for probe in history if probe.passed)


needs = st.integers(SHARES.cap(SHARES.low).mib(CARD_MIB), SHARES.cap(SHARES.high).mib(CARD_MIB))
memory = st.none() | st.integers(0, 2 * CARD_MIB)


@given(
    need=needs,
    seen=memory,
    words=memory,
    takes_all=st.booleans(),
    tolerance=st.sampled_from((0.01, 0.05, 0.1)),
)
def test_however_wrong_the_evidence_the_bound_is_bisections(
    need, seen, words, takes_all, tolerance
):
    space = replace(SHARES, tolerance=tolerance, overhead_mib=3 * CARD_MIB)
    suspect = Suspect(need, seen, words, takes_all)
    history, ended = play(suspect.run, space)
    assert ended.verdict is Verdict.FOUND
    assert len(history) <= 1 + space.bisections
    found_mib = least(history) * CARD_MIB
    assert need - 1 <= found_mib <= need + tolerance * CARD_MIB + 1


@given(need=st.integers(CARD_MIB // 20, 9 * CARD_MIB // 10), unseen=st.floats(0, 0.01))
def test_with_good_evidence_three_probes_are_enough(need, unseen):
    history, ended = play(Suspect(need, round(need * (1 - unseen))).run)
    assert ended.verdict is Verdict.FOUND
    # One more at the ends and in the middle of the range, where after two wrong guesses
    # bisection could not finish in time.
    share = need / CARD_MIB
    assert len(history) <= (3 if 0.14 < share < 0.45 or 0.6 < share < 0.85 else 4)


@given(need=st.integers(4000, 20_000), loaded=st.floats(0.94, 0.98))
def test_an_engine_that_takes_all_is_searched_from_what_its_model_takes(need, loaded):
    history, _ = play(Suspect(need, round(need * loaded), takes_all=True).run)
    assert len(history) <= 5


def test_what_a_failure_says_is_missing_leads_the_way():
    # Part of the peak was a spike between two samples.
    history, _ = play(Suspect(10_000, seen_mib=9000, words_mib=10_000).run)
    assert [probe.passed for probe in history] == [True, False, True, True]
    assert 10_000 <= least(history) * CARD_MIB <= 10_000 + 0.25 * 0.05 * CARD_MIB + 1


def test_a_test_that_ignores_the_cap_ends_the_search():
    history, ended = play(Suspect(8000, 8000, ignores=True).run)
    assert ended.verdict is Verdict.DOES_NOT_HONOUR
    assert len(history) == 3


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (ProbeOutcome.FAILED, Verdict.FAILS_ON_ITS_OWN),
        (ProbeOutcome.CRASHED, Verdict.FAILS_ON_ITS_OWN),
        (ProbeOutcome.TIMEOUT, Verdict.FAILS_ON_ITS_OWN),
        (ProbeOutcome.OUT_OF_MEMORY, Verdict.DOES_NOT_FIT),
        (ProbeOutcome.SKIPPED, Verdict.SKIPPED),
    ],
)
def test_what_does_not_pass_at_the_largest_cap_is_not_searched(outcome, verdict):
    history, ended = play(lambda cap: ProbeResult(cap, outcome, 1.0))
    assert (len(history), ended.verdict) == (1, verdict)


def test_a_failure_without_a_reason_is_repeated_before_it_is_believed():
    suspect = Suspect(10_000, 10_000, failure=ProbeOutcome.FAILED)
    history, ended = play(suspect.run)
    assert history[-1].cap == history[-2].cap
    assert ended.verdict is Verdict.FOUND
    assert "did not run out of memory" in ended.warnings[0]


def test_a_flaky_failure_is_corrected_by_its_repetition():
    suspect = Suspect(4000, 10_000)
    failed = []

    def run(cap):
        if cap.mib(CARD_MIB) < 10_000 and not failed:
            failed.append(cap)
            return ProbeResult(cap, ProbeOutcome.FAILED, 1.0, reason="lost connection")
        return suspect.run(cap)

    space = replace(SHARES, overhead_mib=CARD_MIB)
    history, ended = play(run, space)
    assert ended.verdict is Verdict.FOUND
    assert 4000 <= least(history) * CARD_MIB <= 4000 + 0.05 * CARD_MIB + 1
    assert ended.warnings == (
        "at 36.9% (8.9 GiB) the test failed once and passed once: it is flaky",
    )


@given(
    need=needs,
    seen=memory,
    luck=st.lists(st.booleans(), max_size=30),
)
def test_a_flaky_test_ends_the_search_too_and_never_below_its_need(need, seen, luck):
    space = replace(SHARES, overhead_mib=3 * CARD_MIB)
    suspect = Suspect(need, seen)
    chances = iter(luck)

    def run(cap):
        result = suspect.run(cap)
        if result.passed and cap.value < space.high and not next(chances, True):
            return ProbeResult(cap, ProbeOutcome.FAILED, 1.0)
        return result

    history, _ = play(run, space)
    assert least(history) * CARD_MIB >= need - 1
    assert len(history) <= 1 + (MOST_REPEATS + 1) * (space.bisections + 1)


BYTES = space_for(CapKind.VLLM_BYTES, CARD_MIB)
GIB = 1024**3


@given(need=st.floats(BYTES.low, BYTES.high), words=st.booleans())
def test_an_engine_cap_is_found_to_within_its_ratio(need, words):
    def run(cap):
        if cap.value < need:
            needed = round(need / GIB * 1024) if words else None
            return ProbeResult(cap, ProbeOutcome.DOES_NOT_FIT, 1.0, needed_mib=needed)
        return ProbeResult(cap, ProbeOutcome.PASSED, 1.0, peak_mib=round(cap.value / GIB * 102_400))

    history, ended = play(run, BYTES)
    assert ended.verdict is Verdict.FOUND
    assert len(history) <= 1 + BYTES.bisections
    assert need <= least(history) <= need * BYTES.tolerance * 1.0001


def test_an_engine_cap_that_lowers_the_peak_no_further_is_low_enough():
    weights_mib = 9000

    def run(cap):
        return ProbeResult(
            cap, ProbeOutcome.PASSED, 1.0, peak_mib=weights_mib + round(cap.value / GIB * 1024)
        )

    history, ended = play(run, BYTES)
    assert ended.verdict is Verdict.FOUND
    assert "lower the peak" in ended.warnings[0]
    assert len(history) <= BYTES.bisections


def test_an_engine_cap_that_changes_nothing_is_not_honoured():
    _, ended = play(lambda cap: ProbeResult(cap, ProbeOutcome.PASSED, 1.0, peak_mib=9000), BYTES)
    assert ended.verdict is Verdict.DOES_NOT_HONOUR


@pytest.mark.parametrize(
    "options", [{"low": 0.5, "high": 0.2}, {"high": 1.5}, {"low": 0.0}, {"tolerance": 0.0}]
)
def test_a_range_that_cannot_be_searched_is_refused(options):
    with pytest.raises(OptionError):
        space_for(CapKind.FRACTION, CARD_MIB, **options)


def test_a_tolerance_finer_than_readings_ends_where_readings_end():
    space = space_for(CapKind.FRACTION, CARD_MIB, tolerance=0.0001)
    history, ended = play(lambda cap: Suspect(9000, 9000).run(cap, space), space)
    assert len(history) <= 1 + space.bisections
    assert "no more exact than 32 MiB" in ended.warnings[0]


def test_a_test_that_fails_at_random_is_called_flaky():
    space = replace(SHARES, overhead_mib=CARD_MIB)
    failed = set()

    def run(cap):
        # Every cap below the largest fails the first time and passes the second.
        if cap.value < space.high and cap.value not in failed:
            failed.add(cap.value)
            return ProbeResult(cap, ProbeOutcome.FAILED, 1.0, reason="timed out")
        return ProbeResult(cap, ProbeOutcome.PASSED, 1.0, peak_mib=9000)

    _, ended = play(run, space)
    assert ended.verdict is Verdict.FLAKY
    assert len(ended.warnings) >= MOST_REPEATS


def engine(cap, least, most):
    """An engine that needs a cache of `least` bytes, beside a model that leaves room for `most`."""
    if cap.value > most:
        return ProbeResult(cap, ProbeOutcome.OUT_OF_MEMORY, 1.0, reason="no room")
    if cap.value < least:
        return ProbeResult(cap, ProbeOutcome.DOES_NOT_FIT, 1.0, reason="too little")
    return ProbeResult(cap, ProbeOutcome.PASSED, 1.0, peak_mib=5000 + round(cap.value / 2**20))


@pytest.mark.parametrize("most", [64e9, 22e9, 7e9])
def test_a_cache_too_large_for_the_card_is_not_the_end(most):
    space = space_for(CapKind.VLLM_BYTES, CARD_MIB, declared=8e9, is_simulated=True)
    history, ended = play(lambda cap: engine(cap, 1e9, most), space)
    assert ended.verdict is Verdict.FOUND
    assert 1e9 <= least(history) <= 1.25e9 * 1.01
    result = conclude(space, history, ended)
    assert result.highest_failing.value < 1e9


def test_a_card_too_small_for_any_cache_is():
    space = space_for(CapKind.VLLM_BYTES, CARD_MIB, declared=8e9, is_simulated=True)
    history, ended = play(lambda cap: engine(cap, 1e9, 0), space)
    assert ended.verdict is Verdict.DOES_NOT_FIT
    assert len(history) == 1 + MOST_TOO_LARGE


def test_a_test_without_gpu_memory_is_never_said_to_take_more_than_it_seemed():
    history = []
    while isinstance(step := next_step(SHARES, history), NextProbe):
        assert "more" not in step.note
        history.append(ProbeResult(step.cap, ProbeOutcome.PASSED, 1.0, peak_mib=0))
    assert len(history) <= 3
