"""Profiles as text, JSON, CSV and pictures, and the file that a resumed profile reads."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.devices.backend import DeviceGpu
from tonnage.errors import OptionError
from tonnage.profile.codec import result_from_json, result_to_json
from tonnage.profile.model import (
    Cap,
    CapKind,
    Phase,
    PhaseName,
    ProbeOutcome,
    ProbeResult,
    Sample,
    SearchResult,
    Verdict,
)
from tonnage.profile.plot import check_plot, plot
from tonnage.profile.resume import Kept, ResumeFile
from tonnage.profile.samples_csv import COLUMNS, samples_csv
from tonnage.profile.text import result_lines, table_lines

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

CARDS = (DeviceGpu("GPU-a", 0, "card", 24_576),)
SAMPLES = (
    Sample(0.0, {"GPU-a": 100}, {"GPU-a": 0}, 10),
    Sample(0.1, {"GPU-a": None}, {}, 20, {"GPU-a": 50}),
)
PROBE = ProbeResult(
    Cap(CapKind.FRACTION, 0.5),
    ProbeOutcome.PASSED,
    wall_s=1.5,
    peak_mib=1024,
    peak_by_gpu={"GPU-a": 1024},
    phases=(Phase(PhaseName.STEADY, 0.0, 0.1, 512, 1024),),
    samples=SAMPLES,
    survivors=("pid 1",),
)
FOUND = SearchResult(Verdict.FOUND, (PROBE,), PROBE.cap, Cap(CapKind.FRACTION, 0.45), 1024, ("w",))

caps = st.builds(Cap, st.sampled_from(CapKind), st.floats(0.01, 1e12))
mib = st.none() | st.integers(0, 100_000)
probes = st.builds(
    ProbeResult,
    caps,
    st.sampled_from(ProbeOutcome),
    st.floats(0, 1e4),
    peak_mib=mib,
    peak_by_gpu=st.dictionaries(st.text(), st.integers(0, 100), max_size=2),
    phases=st.lists(
        st.builds(
            Phase, st.sampled_from(PhaseName), *[st.floats(0, 9)] * 2, *[st.integers(0, 9)] * 2
        ),
        max_size=2,
    ).map(tuple),
    reason=st.text(),
)
results = st.builds(
    SearchResult,
    st.sampled_from(Verdict),
    st.lists(probes, max_size=2).map(tuple),
    st.none() | caps,
    st.none() | caps,
    mib,
    st.lists(st.text(), max_size=2).map(tuple),
)


@settings(max_examples=50)
@given(results)
def test_a_result_survives_json(result):
    assert result_from_json(json.loads(json.dumps(result_to_json(result)))) == result


@settings(max_examples=50)
@given(results)
def test_any_result_can_be_told(result):
    lines = [*result_lines(result, 24576), *table_lines([("test_a", result), ("test_b", None)])]
    assert lines[-1].endswith("test_b (not profiled)")


def test_csv_has_a_row_for_each_sample_and_leaves_out_what_is_not_known():
    rows = [line.split(",") for line in samples_csv(FOUND).splitlines()]
    assert tuple(rows[0]) == COLUMNS
    assert rows[1] == ["1", "50.0%", "passed", "0.000", "GPU-a", "100", "0", "", "10"]
    assert rows[2][5:] == ["", "", "50", "20"]


@pytest.mark.parametrize(
    ("suffix", "begin"), [(".svg", b"<?xml"), (".PNG", b"\x89PNG"), (".html", b"<!doctype html>")]
)
def test_a_plot_in_each_format_is_the_same_each_time(suffix, begin):
    title = "test_a[<$x$>]"
    drawn = plot(title, FOUND, suffix, CARDS)
    assert drawn.startswith(begin)
    assert drawn == plot(title, FOUND, suffix, CARDS)


def test_a_plot_names_cards_phases_and_a_cap_that_was_near():
    near = replace(PROBE, cap=Cap(CapKind.FRACTION, 0.0045))
    drawn = plot("test_a", replace(FOUND, probes=(near,)), ".svg", CARDS)
    for text in (b"the test on GPU 0", b">steady<", b">cap<", b"0.4% (0.1 GiB)"):
        assert text in drawn
    assert b">cap<" not in plot("test_a", FOUND, ".svg", CARDS)


def test_a_search_without_samples_can_be_drawn():
    assert b"<svg" in plot("test_a", SearchResult(Verdict.INTERRUPTED), ".svg", CARDS)


def test_another_kind_of_file_is_no_plot(tmp_path):
    with pytest.raises(OptionError, match="no picture"):
        check_plot(tmp_path / "a.gif")


def without_samples(result):
    return result_from_json(result_to_json(result))


def test_finished_profiles_are_read_back_and_damage_costs_only_its_line(tmp_path):
    file = ResumeFile(tmp_path, {"gpus": "sim:1x24"})
    file.begin(anew=True)
    file.add("a", FOUND)
    with file.path.open("ab") as handle:
        handle.write(b'{"test": "b", "how"')  # a crash in the middle of a line
    file.add("c", FOUND)
    file.add("d", SearchResult(Verdict.INTERRUPTED))
    with file.path.open("ab") as handle:
        handle.write(b'\n[]\n{"test": 1}\n\xff\n')
    assert file.read().finished == {"a": without_samples(FOUND), "c": without_samples(FOUND)}
    assert ResumeFile(tmp_path, {"gpus": "nvml"}).read() == Kept()
    file.begin(anew=False)
    assert set(file.read().finished) == {"a", "c"}
    other = ResumeFile(tmp_path, {"gpus": "nvml"})
    other.begin(anew=True)
    other.add("e", FOUND)
    file.begin(anew=True)
    assert file.read() == Kept()
    assert set(other.read().finished) == {"e"}


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / ".tonnage").write_text("a file in the way")
    with pytest.raises(OptionError, match="cannot write"):
        ResumeFile(tmp_path, {}).begin(anew=True)


def test_a_result_that_cannot_be_kept_is_noted_and_hurts_nothing(tmp_path):
    file = ResumeFile(tmp_path, {})
    file.begin(anew=True)
    file.path.unlink()
    file.path.mkdir()
    file.add("a", FOUND)
    assert "finished.jsonl" in file.problem


def test_the_probes_of_an_unfinished_search_are_kept_until_it_is_finished(tmp_path):
    file = ResumeFile(tmp_path, {})
    file.begin(anew=True)
    probes = [replace(PROBE, samples=(), total_s=seconds) for seconds in (1.0, 2.0)]
    for probe in probes:
        file.add_probe("a", probe)
        file.add_probe("b", probe)
    file.add("a", FOUND)
    file.add("b", replace(FOUND, verdict=Verdict.INTERRUPTED))
    assert file.read().begun == {"b": probes}
