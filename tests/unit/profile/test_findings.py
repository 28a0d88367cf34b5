"""What a finished search says of a test."""

from pathlib import Path

import pytest

from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS
from tonnage.profile.findings import confirmed, needs_of, profiled, single_pass
from tonnage.profile.model import Cap, CapKind, ProbeOutcome, ProbeResult, SearchResult, Verdict
from tonnage.profile.selection import SelectedTest, Standing

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SERVING = PRESETS["serving"]
TEST = SelectedTest(
    "t.py::test_a", Path("t.py"), 1, False, (MarkValue("vllm"),), Standing(("test_a",), (), {})
)


def probe(value, peak_mib, *, kind=CapKind.VLLM_BYTES, outcome=ProbeOutcome.PASSED, seconds=9.0):
    return ProbeResult(
        Cap(kind, value), outcome, seconds, peak_mib=peak_mib, peak_by_gpu={"GPU-a": peak_mib}
    )


def found(*probes):
    return SearchResult(Verdict.FOUND, probes, probes[-1].cap, None, probes[-1].peak_mib)


def test_the_memory_to_declare_goes_with_the_engine_cap_to_declare():
    search = found(probe(16e9, 17000), probe(1e9, 2560, seconds=7.0))
    result = confirmed(search, probe(2e9, 3500, seconds=8.0))
    marks = [mark.text for mark in profiled(TEST, result, SERVING).recommendation.marks]
    assert "requested_vllm_kv_cache_bytes(2000000000)" in marks
    assert "max_vram_gib(4)" in marks  # not 3, which the least cap would have led to
    assert needs_of(TEST, result, SERVING).wall_s == 8.0


def test_a_cap_to_declare_that_fails_is_said():
    failed = probe(2e9, 3500, outcome=ProbeOutcome.FAILED)
    result = confirmed(found(probe(1e9, 2560)), failed)
    assert result.peak_mib == 2560
    assert result.warnings == (
        "with 2000000000 bytes, which is to be declared, the test did not pass",
    )


def test_of_fractions_the_least_that_passed_is_how_the_test_will_run():
    kind = CapKind.FRACTION
    search = found(
        probe(0.9, 9000, kind=kind, seconds=5.0), probe(0.3, 7000, kind=kind, seconds=6.0)
    )
    needs = needs_of(TEST, search, SERVING)
    assert (needs.wall_s, needs.peak_mib, needs.cap, needs.loads_model) == (6.0, 7000, None, True)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (ProbeOutcome.PASSED, Verdict.FOUND),
        (ProbeOutcome.SKIPPED, Verdict.SKIPPED),
        (ProbeOutcome.OUT_OF_MEMORY, Verdict.DOES_NOT_FIT),
        (ProbeOutcome.CRASHED, Verdict.FAILS_ON_ITS_OWN),
    ],
)
def test_a_single_pass_ends_as_its_probe_did(outcome, verdict):
    result = single_pass(probe(0, 512, kind=CapKind.NONE, outcome=outcome))
    assert result.verdict is verdict
    assert (profiled(TEST, result, SERVING).recommendation is None) == (verdict != Verdict.FOUND)


def test_a_gpu_is_used_where_a_cap_showed_what_no_sample_saw():
    unseen = probe(0.2, 0, kind=CapKind.FRACTION)
    seen_by_cap = SearchResult(Verdict.FOUND, (unseen,), unseen.cap, None, 4000)
    assert needs_of(TEST, seen_by_cap, SERVING).gpus == 1
    nothing = SearchResult(Verdict.FOUND, (unseen,), unseen.cap, None, 0)
    assert needs_of(TEST, nothing, SERVING).gpus == 0
