"""The loop around a search: progress, interruption, and what the probes come to in the end."""

from dataclasses import replace

import pytest

from tonnage.devices.backend import DeviceGpu
from tonnage.errors import DeviceError, OptionError
from tonnage.profile import measure
from tonnage.profile.measure import Bench, conclude, find_least
from tonnage.profile.model import (
    Cap,
    CapKind,
    ProbeEnded,
    ProbeOutcome,
    ProbeResult,
    ProbeSettings,
    ProbeStarted,
    Verdict,
)
from tonnage.profile.probe import Stopped, Subject
from tonnage.profile.search import Ended
from tonnage.profile.space import space_for

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

CARD = DeviceGpu("GPU-a", 0, "card", 24 * 1024)
SPACE = space_for(CapKind.FRACTION, CARD.capacity_mib, is_simulated=True)
TEST = Subject("test_a.py::test_a")


class Devices:
    gpus = (CARD,)
    backend = object()
    note = "one card"


@pytest.fixture
def events():
    return []


@pytest.fixture
def bench(events):
    return Bench(Devices(), (CARD.uuid,), on_event=events.append)


@pytest.fixture
def probes(monkeypatch):
    """Stands in for real probes of a test that needs 4 GiB; `probes(n)` is interrupted at n."""

    def install(interrupted_at=None, error=KeyboardInterrupt):
        count = 0

        def run_probe(subject, devices, gpus, cap, settings, **_):
            nonlocal count
            count += 1
            if count == interrupted_at:
                raise error
            if cap.mib(CARD.capacity_mib) < 4096:
                return ProbeResult(cap, ProbeOutcome.OUT_OF_MEMORY, 1.0, total_s=2.0)
            return ProbeResult(cap, ProbeOutcome.PASSED, 2.0, total_s=4.0, peak_mib=4096)

        monkeypatch.setattr(measure, "run_probe", run_probe)

    return install


def test_every_probe_is_announced_with_how_much_may_be_left(bench, probes, events):
    probes()
    find_least(bench, TEST, SPACE)
    started = [event for event in events if isinstance(event, ProbeStarted)]
    assert [(event.index, event.at_most, event.left_s) for event in started] == [
        (1, 6, None),
        (2, 6, 20.0),
        (3, 6, 16.0),
    ]
    assert [event.index for event in events if isinstance(event, ProbeEnded)] == [1, 2, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stopped])
def test_an_interrupted_search_keeps_what_is_known_and_goes_on_from_there(bench, probes, error):
    probes(interrupted_at=3, error=error)
    interrupted = find_least(bench, TEST, SPACE)
    assert interrupted.verdict is Verdict.INTERRUPTED
    assert len(interrupted.probes) == 2
    assert interrupted.peak_mib == 4096
    probes()
    result = find_least(bench, TEST, SPACE, interrupted.probes)
    assert (result.verdict, len(result.probes)) == (Verdict.FOUND, 3)
    assert result.probes[:2] == interrupted.probes


def test_only_the_first_probe_of_a_search_takes_the_whole_baseline(bench, monkeypatch):
    baselines = []

    def run_probe(subject, devices, gpus, cap, settings, **_):
        baselines.append(settings.baseline_s)
        return ProbeResult(cap, ProbeOutcome.PASSED, 1.0, peak_mib=0)

    monkeypatch.setattr(measure, "run_probe", run_probe)
    find_least(replace(bench, settings=ProbeSettings(ends_early=True)), TEST, SPACE)
    assert baselines[0] == 3.0
    assert set(baselines[1:]) == {0.5}


def test_a_search_interrupted_before_its_first_probe_knows_nothing(bench, probes):
    probes(interrupted_at=1)
    result = find_least(bench, TEST, SPACE)
    assert (result.verdict, result.probes, result.peak_mib) == (Verdict.INTERRUPTED, (), None)


def at(share, outcome, peak_mib=None, **more):
    return ProbeResult(Cap(CapKind.FRACTION, share), outcome, 1.0, peak_mib=peak_mib, **more)


def test_the_peak_is_that_of_the_lowest_passing_cap():
    history = [at(0.95, ProbeOutcome.PASSED, 23_000), at(0.5, ProbeOutcome.PASSED, 12_000)]
    assert conclude(SPACE, history, Ended(Verdict.FOUND)).peak_mib == 12_000


def test_a_peak_that_sampling_missed_is_at_least_what_was_not_enough():
    history = [at(0.95, ProbeOutcome.PASSED, 100), at(0.5, ProbeOutcome.OUT_OF_MEMORY)]
    assert conclude(SPACE, history, Ended(Verdict.FOUND)).peak_mib == CARD.capacity_mib // 2


def test_a_peak_that_the_framework_counted_counts():
    history = [at(0.95, ProbeOutcome.PASSED, 4000, counted_peak_mib=6000)]
    assert conclude(SPACE, history, Ended(Verdict.FOUND)).peak_mib == 6000


def test_a_leak_is_said_with_who_held_it():
    history = [at(0.95, ProbeOutcome.PASSED, 4000, leak_mib=2048, survivors=("pid 7 (server)",))]
    [warning] = conclude(SPACE, history, Ended(Verdict.FOUND)).warnings
    assert warning == ("2.0 GiB did not come back when the test had ended, held by pid 7 (server)")


def test_without_a_gpu_there_is_nothing_to_measure_on():
    devices = Devices()
    with pytest.raises(DeviceError, match="no GPU to measure on"):
        Bench(devices, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval_s": 0.0},
        {"interval_s": -1.0},
        {"interval_s": float("nan")},
        {"baseline_s": -1.0},
        {"teardown_s": float("inf")},
    ],
)
def test_times_that_mean_nothing_are_refused(wrong):
    with pytest.raises(OptionError):
        replace(ProbeSettings(), **wrong)
