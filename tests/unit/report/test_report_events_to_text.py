"""The live view, summary and trace as functions of events."""

import dataclasses
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tonnage.clock import FakeClock
from tonnage.demo.recorded import events_of_trace
from tonnage.errors import TonnageError
from tonnage.record import events
from tonnage.record.outcomes import Outcome
from tonnage.report.figures import gib_to_declare
from tonnage.report.live import LiveView, render, shorten
from tonnage.report.picture import live_svg
from tonnage.report.progress import Progress
from tonnage.report.summary import summarise, summary_lines
from tonnage.report.trace import chrome_trace, write_trace

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

GPU = events.GpuDescription("GPU-a", "GPU 0", "Simulated", 22528)


def planned(node_id, declared_mib=None, gpus=1):
    return events.PlannedTest(node_id, gpus, declared_mib, declared_mib, 1, 30.0, None)


def started(at_s, node_id, attempt=1, gpus=("GPU-a",), reserved_mib=4096):
    return events.AttemptStarted(at_s, node_id, attempt, gpus, reserved_mib, 0)


def finished(at_s, node_id, seconds, outcome=Outcome.PASSED, peak_mib=None, attempt=1, reason=""):
    return events.AttemptFinished(
        at_s, node_id, attempt, outcome, seconds, peak_mib, "simulated", reason
    )


RUN = [
    events.RunStarted(0.0, 5.0, (GPU,), 8, "simulated"),
    events.TestsCollected(
        1.0,
        (
            planned("test_a.py::test_big", 8192),
            planned("test_a.py::test_small", 4096),
            planned("test_b.py::test_cpu", gpus=0),
            planned("test_b.py::test_late", gpus=0),
        ),
    ),
    events.EndPredicted(1.0, 12.0),
    started(2.0, "test_a.py::test_big", reserved_mib=8192),
    started(2.0, "test_a.py::test_small"),
    started(2.0, "test_b.py::test_cpu", gpus=(), reserved_mib=0),
    events.GpuSampled(2.0, "GPU-a", 11264, 2048, 12288),
    finished(4.0, "test_b.py::test_cpu", 2.0, Outcome.FAILED),
    events.GpuSampled(7.0, "GPU-a", 0, 0, 0),
    finished(7.0, "test_a.py::test_small", 5.0, peak_mib=4000),
    finished(12.0, "test_a.py::test_big", 10.0, peak_mib=2048),
    events.RunFinished(12.5, 1),
    events.BoundMeasured(12.0, 6.0, "GPU memory"),
]


def text_of(renderable, width=200):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def progress_at(at_s, run=RUN):
    progress = Progress()
    for event in run:
        if event.at_s <= at_s:
            progress.feed(event)
    return progress


def test_live_view_on_80_columns():
    assert text_of(render(progress_at(4.5), 5.0, 80, 24, "ascii"), 80) == (
        "GPU 0 xxx################=====..............  11.0 used  12.0 reserved  22.0 GiB\n"
        "  GPU 0     8.0 GiB    3.0 s/30.0 s  test_a.py::test_big\n"
        "  GPU 0     4.0 GiB    3.0 s/30.0 s  test_a.py::test_small\n"
        "0 passed, 1 failed, 2 running, 1 queued\n"
        "5.0 s so far, about 7.0 s to go\n"
    )


def test_live_view_on_40_columns_still_names_the_tests():
    assert text_of(render(progress_at(4.5), 5.0, 40, 24, "ascii"), 40) == (
        "GPU 0 x#######==......  11.0 of 22.0 GiB\n"
        "GPU 0   3.0 s  test_a.py::test_big\n"
        "GPU 0   3.0 s  test_a.py::test_small\n"
        "0 passed, 1 failed, 2 running, 1 queued\n"
        "5.0 s so far, about 7.0 s to go\n"
    )


def test_a_retry_counts_once():
    progress = Progress()
    for event in (
        *RUN[:2],
        started(2.0, "test_a.py::test_big"),
        finished(3.0, "test_a.py::test_big", 1.0, Outcome.OUT_OF_MEMORY),
        started(4.0, "test_a.py::test_big", attempt=2),
    ):
        progress.feed(event)
    assert (progress.failed, progress.queued, progress.retries) == (0, 3, 1)
    progress.feed(finished(5.0, "test_a.py::test_big", 1.0, attempt=2))
    assert (progress.failed, progress.counts[Outcome.PASSED]) == (0, 1)


@given(
    gpus=st.integers(0, 64),
    running=st.integers(0, 200),
    width=st.integers(20, 200),
    height=st.integers(0, 60),
)
def test_the_view_stays_within_the_terminal(gpus, running, width, height):
    progress = Progress()
    cards = tuple(events.GpuDescription(f"G{i}", f"GPU {i}", "x", 1000) for i in range(gpus))
    progress.feed(events.RunStarted(0.0, 0.0, cards, 8, ""))
    for number in range(running):
        progress.feed(started(0.0, f"tests/deep/test_x.py::test_{number}", gpus=()))
    lines = text_of(render(progress, 1.0, width, height), 300).splitlines()
    lines = lines if lines != [""] else []
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


@given(st.text("abc:/.", max_size=60), st.integers(8, 80))
def test_shortened_ids_fit(node_id, width):
    assert len(shorten(node_id, width)) <= width


def test_shortening_keeps_the_name_of_the_test():
    assert shorten("tests/very/deep/directory/test_x.py::test_name", 24).endswith("::test_name")


def test_the_terminal_is_given_back():
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=80, height=24, _environ={})
    clock = FakeClock()
    view = LiveView(console, clock)
    view.start()
    for event in RUN[:7]:
        view.feed(event)
    view.tick()
    drawn = len(output.getvalue())
    view.tick()
    assert len(output.getvalue()) == drawn
    view.print_above("FAILED [bold]")
    view.stop()
    view.stop()
    assert "FAILED [bold]" in output.getvalue()
    assert output.getvalue().rindex("\x1b[?25h") > output.getvalue().rindex("\x1b[?25l")


def test_a_terminal_without_unicode_gets_escapes():
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=output, force_terminal=True, width=80, height=24, _environ={})
    view = LiveView(console, FakeClock())
    view.start()
    view.feed(events.RunStarted(0.0, 0.0, (), 1, ""))
    view.feed(started(0.0, "test_a.py::test_\u00fc", gpus=()))
    view.refresh()
    view.print_above("FAILED \u2603")
    view.stop()
    output.flush()
    written = output.buffer.getvalue().decode("ascii")
    assert "test_\\xfc" in written
    assert "FAILED \\u2603" in written


def test_a_dumb_terminal_is_left_alone():
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    view = LiveView(console, FakeClock())
    view.start()
    view.refresh()
    assert not view.is_drawing
    assert console.file.getvalue() == ""


def test_summary_figures():
    summary = summarise(RUN)
    assert (summary.makespan_s, summary.sum_s, summary.speed_up) == (10.0, 17.0, 1.7)
    assert summary.gpus[0].used == pytest.approx(0.25)
    assert [(each.test, each.declare_gib) for each in summary.drifts] == [
        ("test_a.py::test_big", 2.2)
    ]


def test_summary_says_what_to_declare():
    lines = summary_lines(summarise(RUN))
    assert any("@pytest.mark.max_vram_gib(2.2)" in line for line in lines)
    assert lines[0] == (
        "makespan 10.0 s (at best 6.0 s: GPU memory); one after another 17.0 s; 1.7 times as fast"
    )


def test_an_attempt_cut_short_does_not_lower_its_declaration():
    run = [*RUN[:-3], finished(12.0, "test_a.py::test_big", 10.0, Outcome.TIMEOUT, 2048)]
    summary = summarise(run)
    assert summary.drifts == ()
    assert [each.outcome for each in summary.broken] == [Outcome.TIMEOUT]


def cases_of_one_function(*measured):
    """A run of one function that declares 4 GiB: each case's peak and outcome."""
    names = [f"t.py::test_x[a::b-{number}]" for number in range(len(measured))]
    return [
        RUN[0],
        events.TestsCollected(0.0, tuple(planned(name, 4096) for name in names)),
        *(started(1.0, name) for name in names),
        *(
            finished(2.0, name, 1.0, outcome, peak_mib)
            for name, (peak_mib, outcome) in zip(names, measured, strict=True)
        ),
    ]


def test_the_cases_of_a_function_share_its_declaration():
    run = cases_of_one_function((1024, Outcome.PASSED), (2048, Outcome.PASSED))
    assert (
        "  t.py::test_x (2 cases): declared 4.0 GiB, peak 2.0 GiB (simulated) -> "
        "@pytest.mark.max_vram_gib(2.2)"
    ) in summary_lines(summarise(run))


@pytest.mark.parametrize(
    "other",
    [(4000, Outcome.PASSED), (1024, Outcome.FAILED), (None, Outcome.PASSED), (0, Outcome.PASSED)],
)
def test_one_case_that_may_need_it_keeps_a_declaration(other):
    run = cases_of_one_function((1024, Outcome.PASSED), other)
    assert summarise(run).drifts == ()


def test_one_case_above_the_declaration_raises_it():
    run = cases_of_one_function((None, Outcome.PASSED), (6144, Outcome.FAILED))
    assert [(each.test, each.cases, each.declare_gib) for each in summarise(run).drifts] == [
        ("t.py::test_x", 2, 6.6)
    ]


def test_a_retried_pass_is_shown():
    run = [*RUN[:-2], started(12.0, "t::x", 2), finished(13.0, "t::x", 1.0, attempt=2)]
    assert "  t::x (passed, attempt 2)" in summary_lines(summarise(run))


@given(st.integers(1, 200_000), st.integers(0, 200_000))
def test_the_advised_declaration_is_not_flagged_again(peak_mib, free_mib):
    card = dataclasses.replace(GPU, capacity_mib=peak_mib + free_mib)
    declared_mib = round(gib_to_declare(peak_mib, card.capacity_mib) * 1024 + 0.499)
    assert declared_mib <= card.capacity_mib
    run = [
        dataclasses.replace(RUN[0], gpus=(card,)),
        events.TestsCollected(0.0, (planned("t", declared_mib),)),
        started(1.0, "t"),
        finished(2.0, "t", 1.0, peak_mib=peak_mib),
    ]
    assert summarise(run).drifts == ()


def test_nothing_happened_nothing_said():
    assert summary_lines(summarise([])) == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=30))
def test_trace_lanes_never_overlap(spans):
    moments = []
    for number, (begin, length) in enumerate(spans):
        moments.append((begin, 1, started(begin, f"t{number}")))
        moments.append((begin + length, 0, finished(begin + length, f"t{number}", length)))
    run = [RUN[0], *(event for _, _, event in sorted(moments, key=lambda each: each[:2]))]
    bars = [row for row in chrome_trace(run)["traceEvents"] if row["ph"] == "X"]
    assert len(bars) == len(spans)
    ends = {}
    for row in bars:
        lane = (row["pid"], row["tid"])
        assert row["ts"] >= ends.get(lane, 0)
        ends[lane] = row["ts"] + row["dur"]


def test_trace_has_what_the_format_asks_for():
    rows = chrome_trace(RUN)["traceEvents"]
    assert all({"ph", "ts", "pid", "tid", "name"} <= row.keys() for row in rows)
    for name in ("VRAM used", "VRAM reserved"):
        times = [row["ts"] for row in rows if row["ph"] == "C" and row["name"] == name]
        assert len(times) == 2
        assert times == sorted(times)
    assert [row["name"] for row in rows if row["ph"] == "i"] == ["failed: test_cpu"]


def as_a_trace_knows(run):
    """The run without what a trace leaves out: whose memory it was, and tests that never ran."""
    ran = {event.node_id for event in run if isinstance(event, events.AttemptStarted)}
    for event in run:
        if isinstance(event, events.GpuSampled):
            yield dataclasses.replace(event, foreign_mib=0)
        elif isinstance(event, events.TestsCollected):
            tests = tuple(test for test in event.tests if test.node_id in ran)
            yield dataclasses.replace(event, tests=tests)
        else:
            yield event


def test_trace_is_written_and_read_back(tmp_path):
    path = tmp_path / "trace.json"
    write_trace(path, RUN)
    assert [each.name for each in tmp_path.iterdir()] == ["trace.json"]
    again = events_of_trace(json.loads(path.read_text()))
    assert summarise(again).makespan_s == summarise(RUN).makespan_s
    views = [
        text_of(render(progress_at(3.0, run), 3.0, 80, 24))
        for run in (again, as_a_trace_knows(RUN))
    ]
    assert views[0] == views[1]
    assert "test_big" in live_svg(again, 3.0)


def test_an_unwritable_trace_names_its_option(tmp_path):
    with pytest.raises(TonnageError, match="--pack-trace"):
        write_trace(Path(tmp_path / "absent" / "trace.json"), RUN)


@pytest.mark.parametrize(("declared_gib", "is_told"), [(21, False), (20.4, False), (22, True)])
def test_what_the_profiler_advises_is_no_drift(declared_gib, is_told):
    peak_mib, declared_mib = 18_944, int(declared_gib * 1024)  # 18.5 GiB
    planned = events.PlannedTest("t.py::t", 1, declared_mib, declared_mib, 1, None, None)
    ended = events.AttemptFinished(
        1.0, "t.py::t", 1, Outcome.PASSED, 1.0, peak_mib, "simulated", ""
    )
    found = summarise([RUN[0], events.TestsCollected(0.0, (planned,)), ended]).drifts
    assert bool(found) is is_told
