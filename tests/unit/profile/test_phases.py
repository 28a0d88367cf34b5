"""Phases found again in curves that were drawn with known ones, noise and spikes included."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.profile.model import PhaseName
from tonnage.profile.phases import find_phases

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

STEP_S = 0.1
NOISE_MIB = 32
BASELINE, LOAD, CACHE, STEADY, TEARDOWN = PhaseName
# A running median of five may move an edge by this many samples.
BLUR = 3

lengths = st.integers(8, 40)


def draw_curve(parts):
    """(length, level) parts as a curve of samples; a level may be a pair, for a straight rise."""
    curve = []
    for length, level in parts:
        low, high = level if isinstance(level, tuple) else (level, level)
        curve += [round(low + (high - low) * at / length) for at in range(length)]
    return curve


def phases_of(curve, start, end):
    times = [at * STEP_S for at in range(len(curve))]
    return find_phases(times, curve, start * STEP_S, end * STEP_S, NOISE_MIB)


@settings(deadline=None)
@given(
    before=lengths,
    imports=lengths,
    rise=lengths,
    pause=lengths,
    inference=lengths,
    after=lengths,
    model=st.integers(1000, 20_000),
    cache=st.integers(4000, 20_000),
    spikes=st.lists(st.floats(0.1, 0.9), max_size=2),
    noise=st.randoms(use_true_random=False),
)
def test_an_engine_shows_all_five_phases(
    before, imports, rise, pause, inference, after, model, cache, spikes, noise
):
    full = model + cache
    parts = [(before, 0), (imports, 0), (rise, (0, model)), (pause, model), (inference, full)]
    curve = draw_curve([*parts, (after, 0)])
    curve = [max(0, mib + noise.randint(-12, 12)) for mib in curve]
    cached = before + imports + rise + pause
    for place in spikes:
        curve[cached + round(place * (inference - 1))] += 5000
    phases = phases_of(curve, before, cached + inference)
    assert [phase.name for phase in phases] == [BASELINE, LOAD, CACHE, STEADY, TEARDOWN]
    assert phases[1].peak_mib == pytest.approx(model, abs=0.05 * full)
    steady = next(phase for phase in phases if phase.name is STEADY)
    assert steady.start_s == pytest.approx(cached * STEP_S, abs=BLUR * STEP_S)
    assert steady.duration_s == pytest.approx(inference * STEP_S, abs=2 * BLUR * STEP_S)
    assert steady.peak_mib >= max(curve) - 5000


def test_the_cache_is_told_from_the_model_when_it_grows_over_some_samples():
    parts = [(10, 0), (10, 0), (20, (0, 8000)), (10, 8000), (6, (8000, 20_000)), (30, 20_000)]
    curve = draw_curve([*parts, (10, 0)])
    phases = {phase.name: phase for phase in phases_of(curve, 10, 86)}
    assert list(phases) == [BASELINE, LOAD, CACHE, STEADY, TEARDOWN]
    assert phases[LOAD].peak_mib == pytest.approx(8000, rel=0.2)
    assert phases[CACHE].start_s == pytest.approx(5.0, abs=BLUR * STEP_S)
    assert phases[STEADY].mean_mib == 20_000


@settings(deadline=None)
@given(level=st.integers(100, 80_000), before=lengths, imports=lengths, held=lengths, after=lengths)
def test_one_allocation_is_loaded_and_held(level, before, imports, held, after):
    curve = draw_curve([(before, 0), (imports, 0), (held, level), (after, 0)])
    phases = phases_of(curve, before, before + imports + held)
    assert [phase.name for phase in phases] == [BASELINE, LOAD, STEADY, TEARDOWN]
    assert phases[2].peak_mib == phases[2].mean_mib == level


def test_a_test_without_gpu_memory_is_steady_from_start_to_end():
    phases = phases_of([0] * 30, 10, 20)
    assert [(phase.name, phase.peak_mib) for phase in phases] == [
        (BASELINE, 0),
        (STEADY, 0),
        (TEARDOWN, 0),
    ]


def test_a_short_spike_counts_for_the_peak_and_makes_no_phase():
    curve = draw_curve([(10, 0), (20, 1000), (1, 9000), (20, 1000), (10, 0)])
    phases = phases_of(curve, 10, 51)
    assert [phase.name for phase in phases] == [BASELINE, STEADY, TEARDOWN]
    assert phases[1].peak_mib == 9000


@settings(deadline=None)
@given(
    curve=st.lists(st.integers(0, 100_000), max_size=60),
    start=st.integers(0, 60),
    lived=st.integers(0, 60),
)
def test_the_phases_of_any_curve_follow_each_other_and_cover_it(curve, start, lived):
    phases = phases_of(curve, start, start + lived)
    assert all(first.end_s == then.start_s for first, then in pairwise(phases))
    if curve:
        assert phases[0].start_s == 0
        assert phases[-1].end_s == pytest.approx((len(curve) - 1) * STEP_S)
        assert max(phase.peak_mib for phase in phases) == max(curve)
    order = list(PhaseName)
    assert [phase.name for phase in phases] == sorted(
        {phase.name for phase in phases}, key=order.index
    )
