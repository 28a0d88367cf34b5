"""pytest-xdist installed beside: it keeps what is its own, and gives way to --pack."""

import pytest
from tests.compat.beside import packed, plain
from tests.packed import load_only, run

from tonnage.devices.cpus import available_cpus
from tonnage.units import plural

pytest.importorskip("xdist", reason="pytest-xdist is not installed")

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

SUITE = """
import os

def test_where(request, worker_id):
    assert worker_id == os.environ["PYTEST_XDIST_WORKER"]
    assert request.config.workerinput["workerid"] == worker_id
    assert os.environ["PYTEST_XDIST_WORKER_COUNT"] == "2"
    assert os.environ["PYTEST_XDIST_TESTRUNUID"]

def test_runs_where_it_should(testrun_uid):
    with open("where.txt", "w") as file:
        file.write("tonnage" if "TONNAGE_RUN" in os.environ else "xdist")
"""


@pytest.fixture
def suite(pytester):
    """A suite with both plugins; ours is loaded first."""
    pytester.makepyfile(test_suite=SUITE)
    return pytester


def where(suite):
    return (suite.path / "where.txt").read_text()


def test_a_run_without_pack_is_xdists_alone(suite):
    result = plain(suite, "-n", "2")
    assert result.ret == 0
    assert where(suite) == "xdist"
    assert "tonnage: " not in result.stdout.str()


@pytest.mark.parametrize(
    ("args", "slots"),
    [
        (["-n", "2"], "2 slots"),
        (["--numprocesses=2", "--slots=3"], "3 slots"),
        (["-n", "9", "--maxprocesses=2"], "2 slots"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_with_pack_n_sets_the_slots_and_nothing_else(suite, args, slots):
    result = run(suite, "--pack", "--gpus=none", "-k", "runs", *args, pack=False)
    assert result.ret == 0
    assert where(suite) == "tonnage"
    result.stdout.fnmatch_lines([f"tonnage: *; {slots}", "tonnage: --pack runs the tests*-n *"])


@pytest.mark.parametrize("order", [("tonnage", "xdist"), ("xdist", "tonnage")], ids=" ".join)
def test_n_auto_is_slots_auto_whoever_is_loaded_first(suite, monkeypatch, order):
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p {name}" for name in order))
    # What pytest-xdist itself would make of auto; our slots are what this process may use.
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "77")
    result = run(suite, "--pack", "--gpus=none", "-n", "auto", "-k", "runs", pack=False)
    assert result.ret == 0
    assert where(suite) == "tonnage"
    result.stdout.fnmatch_lines([f"tonnage: *; {plural(available_cpus(), 'slot')}"])


def test_how_xdist_would_distribute_is_left_aside_and_said(suite):
    result = packed(suite, "test", "--dist=loadfile", "--tx=popen")
    assert result.parseoutcomes() == {"passed": 2}
    assert where(suite) == "tonnage"
    result.stdout.fnmatch_lines(["tonnage: --pack runs the tests; pytest-xdist's --dist*aside"])


def test_an_ini_file_that_asks_for_xdist_gives_way_to_pack(suite):
    suite.makeini("[pytest]\naddopts = -n 2 --dist loadscope\n")
    assert plain(suite).ret == 0
    assert where(suite) == "xdist"
    result = run(suite, "--pack", "--gpus=none", pack=False)
    assert result.ret == 0
    assert where(suite) == "tonnage"


def test_looping_on_failing_tests_is_refused(pytester, monkeypatch):
    load_only(monkeypatch, "xdist", "xdist.looponfail")
    pytester.makepyfile("def test_it(): pass")
    result = packed(pytester, "test", "--looponfail")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--looponfail with --pack: " in result.stderr.str()


def test_xdist_switched_off(pytester, monkeypatch):
    load_only(monkeypatch, "no:xdist")
    pytester.makepyfile("def test_it(): pass")
    assert packed(pytester, "test").parseoutcomes() == {"passed": 1}


def test_a_conftest_written_for_xdist_gets_its_hooks(pytester):
    pytester.makeconftest(
        """
        def pytest_configure_node(node):
            node.workerinput["from_controller"] = {"answer": 42, "raw": b"\\x00\\xff"}

        def pytest_testnodedown(node, error):
            assert error is None
            with open("down.txt", "a") as file:
                file.write(node.workeroutput["from_worker"])

        def pytest_sessionfinish(session):
            if hasattr(session.config, "workeroutput"):
                session.config.workeroutput["from_worker"] = "good night"
        """
    )
    pytester.makepyfile(
        """
        def test_it(request):
            given = request.config.workerinput["from_controller"]
            assert given == {"answer": 42, "raw": b"\\x00\\xff"}
        """
    )
    assert packed(pytester, "test").parseoutcomes() == {"passed": 1}
    assert (pytester.path / "down.txt").read_text() == "good night"
