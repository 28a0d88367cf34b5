"""The demo's workload and the suite written from it."""

import ast

import pytest

from tonnage.demo.compare import comparison_lines
from tonnage.demo.recorded import fullest_moment_s
from tonnage.demo.suite import write_suite
from tonnage.demo.workload import published_job
from tonnage.record.events import AttemptStarted, GpuSampled

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def test_the_job_has_the_published_size():
    tests = published_job()
    assert sum(test.is_filler for test in tests) == 213
    assert len(tests) == 236


def test_every_gpu_test_is_written_with_its_declaration(tmp_path):
    write_suite(tmp_path, 0.01)
    source = "".join(path.read_text() for path in sorted(tmp_path.glob("test_*.py")))
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    assert len(functions) == 24
    assert source.count("max_vram_gib(") == 23


def test_the_comparison_says_what_was_measured():
    totals = {"makespan_s": 10.0, "sum_s": 40.0, "lower_bound_s": None}
    lines = comparison_lines(totals, published_job(), 0.01)
    assert any("4.0 times as fast" in line for line in lines)
    assert any("published, scaled" in line for line in lines)


def test_the_picture_is_of_the_fullest_moment():
    run = [
        GpuSampled(1.0, "a", 900, 0, 0),
        AttemptStarted(2.0, "t::x", 1, ("a",), 900, 0),
        AttemptStarted(3.0, "t::on_cpu", 1, (), 0, 1),
        GpuSampled(4.0, "a", 800, 0, 0),
    ]
    assert fullest_moment_s(run) == 2.0
    assert fullest_moment_s([*run, GpuSampled(5.0, "b", 200, 0, 0)]) == 5.0
