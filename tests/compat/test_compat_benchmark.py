"""pytest-benchmark: what was measured in the processes of tests is reported and saved."""

import json

import pytest
from tests.compat.beside import LEVELS, packed, plain
from tests.packed import load_only

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

SUITE = """
import pytest

@pytest.mark.parametrize("size", [10, 20])
def test_sorting(benchmark, size):
    benchmark.extra_info["why"] = "to know"
    benchmark.pedantic(sorted, args=(range(size),), rounds=5, iterations=2)

@pytest.mark.benchmark(group="sums")
def test_sum(benchmark):
    assert benchmark.pedantic(sum, args=([1, 2],), rounds=3) == 3

def test_without(): pass
"""


def saved(path):
    """The saved benchmarks without what was measured, by name."""
    found = json.loads(path.read_text())["benchmarks"]
    for benchmark in found:
        stats = benchmark["stats"]
        benchmark["stats"] = {
            "names": sorted(stats),
            "rounds": stats["rounds"],
            "iterations": stats["iterations"],
            "measurements": len(stats["data"]),
        }
    return {benchmark["fullname"]: benchmark for benchmark in found}


@pytest.fixture
def suite(pytester, monkeypatch):
    load_only(monkeypatch, "benchmark", "xdist")
    pytester.makepyfile(test_suite=SUITE)
    return pytester


@pytest.mark.parametrize("level", LEVELS)
def test_the_saved_results_have_the_same_structure(suite, level):
    plain(suite, "--benchmark-json=plain.json")
    result = packed(suite, level, "--benchmark-json=packed.json")
    expected = saved(suite.path / "plain.json")
    assert len(expected) == 3
    assert saved(suite.path / "packed.json") == expected
    result.stdout.fnmatch_lines_random(["*benchmark: 2 tests*", "*benchmark 'sums': 1 tests*"])
    assert result.ret == 0


def test_profiling_is_refused(suite):
    result = packed(suite, "test", "--benchmark-cprofile=tottime")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--benchmark-cprofile with --pack: " in result.stderr.str()
