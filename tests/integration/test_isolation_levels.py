"""What shares a process at each isolation level, and what happens to it when a test crashes."""

import pytest
from tests.packed import outcomes, run

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

# Every test writes the process it ran in; a fixture writes when it is set up and torn down.
HEAD = """
import os, pytest

def note(what):
    with open(os.environ["NOTES"], "a") as file:
        print(what, os.getpid(), file=file)

@pytest.fixture(autouse=True)
def noted(request):
    note(request.node.name)
"""


@pytest.fixture
def notes(pytester, monkeypatch):
    """The notes of a run, as (what, pid)."""
    path = pytester.path / "notes"
    monkeypatch.setenv("NOTES", str(path))

    def read():
        pairs = [line.rsplit(" ", 1) for line in path.read_text().splitlines()]
        return [(what, int(pid)) for what, pid in pairs]

    return read


def pids(notes, *names):
    """The processes that these wrote from."""
    return {pid for what, pid in notes if what in names}


MODULE = (
    HEAD
    + """
@pytest.fixture(scope="module")
def server():
    note("up")
    yield
    note("down")

def test_one(server): pass
def test_two(server): pass
def test_three(server): pass
"""
)


def test_a_module_shares_a_process_and_sets_its_fixtures_up_once(pytester, notes):
    pytester.makepyfile(test_a=MODULE, test_b=MODULE.replace("test_t", "test_u"))
    result = run(pytester, "--isolation", "module")
    assert result.parseoutcomes() == {"passed": 6}
    seen = notes()
    assert len(pids(seen, "up")) == 2
    assert sorted(what for what, _ in seen if what in ("up", "down")) == ["down"] * 2 + ["up"] * 2
    assert len(pids(seen, "test_two", "test_three")) == 1


def test_a_crash_tears_the_shared_fixtures_down_and_the_rest_goes_on(pytester, notes):
    body = MODULE.replace("def test_two(server): pass", "def test_two(server): os.abort()")
    pytester.makepyfile(test_a=body)
    result = run(pytester, "--isolation", "module", "--junitxml=out.xml")
    assert list(outcomes(pytester.path / "out.xml").values()) == ["passed", "failure", "passed"]
    result.stdout.fnmatch_lines(
        [
            "*died of SIGABRT; the fixtures it shared were torn down; "
            "1 test of its batch goes on in a new process"
        ]
    )
    seen = [what for what, _ in notes()]
    # Torn down once for the process that crashed, in order, and once for the one after it.
    assert seen == ["up", "test_one", "test_two", "down", "up", "test_three", "down"]


def test_a_finaliser_that_fails_after_a_crash_is_said(pytester, notes):
    body = MODULE.replace('note("down")', "raise RuntimeError('stuck')")
    body = body.replace("def test_two(server): pass", "def test_two(server): os._exit(3)")
    pytester.makepyfile(test_a=body)
    result = run(pytester, "--isolation", "module")
    result.stdout.fnmatch_lines(["*status 3*; tearing down the fixtures it shared failed; *"])


def test_a_server_of_a_shared_fixture_is_still_there_for_its_finaliser(pytester, notes):
    pytester.makepyfile(
        test_a=HEAD
        + """
import subprocess, sys

@pytest.fixture(scope="module")
def server():
    code = "import sys; print('up', flush=True); sys.stdin.read(); print('bye', flush=True)"
    server = subprocess.Popen([sys.executable, "-c", code], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout.readline() == "up\\n"
    yield
    server.stdin.close()
    note("server says " + server.stdout.read().strip())

def test_one(server): pass
def test_two(server): os._exit(1)
"""
    )
    assert run(pytester, "--isolation", "module").parseoutcomes() == {"passed": 1, "failed": 1}
    assert "server says bye" in [what for what, _ in notes()]


GROUPS = (
    HEAD
    + """
@pytest.mark.needs(group="db")
def test_a(): pass
@pytest.mark.needs(group="db")
def test_b(): pass
@pytest.mark.needs(isolation="test")
def test_c(): pass
@pytest.mark.needs(isolation="test")
def test_d(): pass
"""
)


def test_the_tests_of_a_group_share_a_process_across_files(pytester, notes):
    pytester.makepyfile(test_a=GROUPS, test_b=GROUPS.replace("test_a", "test_e"))
    assert run(pytester).parseoutcomes() == {"passed": 8}
    seen = notes()
    assert len(pids(seen, "test_a", "test_b", "test_e")) == 1
    assert len(pids(seen, "test_c", "test_d")) == 4


def test_isolation_test_separates_a_group(pytester, notes):
    pytester.makepyfile(test_a=GROUPS)
    assert run(pytester, "--isolation", "test").parseoutcomes() == {"passed": 4}
    assert len({pid for _, pid in notes()}) == 4


def test_users_of_an_expensive_fixture_share_a_process_at_level_group(pytester, notes):
    pytester.makepyprojecttoml('[tool.tonnage]\nexpensive_fixtures = ["model"]\n')
    pytester.makeconftest(
        HEAD
        + """
@pytest.fixture(scope="session")
def model():
    note("load")
"""
    )
    body = "def test_{0}(model): pass\ndef test_{0}_without(): pass\n"
    pytester.makepyfile(test_a=body.format("a"), test_b=body.format("b"))
    assert run(pytester, "--isolation", "group").parseoutcomes() == {"passed": 4}
    assert len(pids(notes(), "load", "test_a", "test_b")) == 1
    assert [what for what, _ in notes()].count("load") == 1


def test_an_unknown_level_in_a_mark_is_that_tests_error(pytester):
    pytester.makepyfile(
        """
import pytest
@pytest.mark.needs(isolation="modul")
def test_a(): pass
def test_b(): pass
"""
    )
    result = run(pytester)
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["*'modul' is not one of test, group, module, worker*"])


def test_enough_failures_end_a_batch_with_its_fixtures_torn_down(pytester, notes):
    body = MODULE.replace("def test_one(server): pass", "def test_one(server): assert 0")
    pytester.makepyfile(test_a=body)
    result = run(pytester, "--isolation", "module", "-x")
    assert result.parseoutcomes() == {"failed": 1}
    assert [what for what, _ in notes()] == ["up", "test_one", "down"]


def test_the_plan_knows_of_batches(pytester):
    pytester.makepyfile(test_a=MODULE)
    result = run(pytester, "--isolation", "module", "--dry-run", "-v", "--slots", "2")
    result.stdout.fnmatch_lines(["3 tests planned: predicted makespan 3.0 s*"])
