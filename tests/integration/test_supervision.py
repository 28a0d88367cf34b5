"""Tests that hang, leave things behind or run long: ended, named, noticed."""

import sys
import xml.etree.ElementTree as ET

import pytest
from tests.packed import outcomes, processes_of, run

from tonnage.execute.stack_dumps import find_py_spy

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

GRACE = "[tool.tonnage]\ntimeout_grace_s = 0.5\n"


def test_a_hang_in_c_is_ended_with_the_stacks_of_the_whole_tree(pytester):
    pytester.makepyprojecttoml(GRACE)
    pytester.makepyfile(
        """
import itertools, multiprocessing, pytest, threading, time

def deep_in_a_child():
    time.sleep(1000)

@pytest.mark.timeout(0.3)
def test_hangs():
    multiprocessing.get_context("fork").Process(target=deep_in_a_child).start()
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    sum(itertools.repeat(0))  # in C, for ever: no signal handler of Python's gets a turn

def test_other(): pass
"""
    )
    result = run(pytester, "-p", "no:timeout", "--isolation", "test", "--junitxml=out.xml")
    assert outcomes(pytester.path / "out.xml") == {
        "test_a_hang_in_c_is_ended_with_the_stacks_of_the_whole_tree::test_hangs": "failure",
        "test_a_hang_in_c_is_ended_with_the_stacks_of_the_whole_tree::test_other": "passed",
    }
    text = result.stdout.str()
    assert "timeout: ran longer than its declared 0.3 s, did not stop, and was ended" in text
    assert "in test_hangs" in text
    assert "in deep_in_a_child" in text
    failure = next(ET.parse(pytester.path / "out.xml").iter("failure"))
    assert failure.get("type") == "timeout"


def test_a_test_that_ignores_term_is_killed_with_its_detached_children(pytester, monkeypatch):
    monkeypatch.setenv("MARK", mark := f"mark-{pytester.path.name}-{id(pytester)}")
    pytester.makepyprojecttoml(GRACE)
    pytester.makepyfile(
        """
import os, pytest, signal, subprocess, time

@pytest.mark.timeout(0.3)
def test_stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        os._exit(0)
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    while True:
        time.sleep(0.1)
"""
    )
    result = run(pytester, "-p", "no:timeout")
    assert result.parseoutcomes() == {"failed": 1}
    assert processes_of(mark) == []


def test_a_slow_test_is_named_while_it_runs(pytester):
    pytester.makepyprojecttoml("[tool.tonnage]\nslow_after_s = 0.2\n")
    pytester.makepyfile(
        """
import time
def test_long(): time.sleep(0.5)
"""
    )
    result = run(pytester)
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["tonnage: slow: *::test_long still runs after *"])


def test_the_timeout_of_the_whole_run_ends_a_hang_too(pytester):
    pytester.makepyprojecttoml(GRACE)
    pytester.makepyfile(
        """
import itertools
def test_hangs(): sum(itertools.repeat(0))
"""
    )
    result = run(pytester, "--timeout", "0.5")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["timeout: ran longer than the run's 0.5 s, did not stop*"])


def test_a_process_that_dies_after_its_last_test_is_said(pytester):
    pytester.makeconftest(
        """
import os
from tonnage.execute import pytest_internals
pytest_internals.tear_down_all = lambda session: os.abort()
"""
    )
    pytester.makepyfile("def test_passes(): pass")
    result = run(pytester)
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["note: the process of *::test_passes died of SIGABRT after its*"])


def test_a_crash_is_told_in_full_to_junit_as_well(pytester):
    pytester.makepyfile(
        """
import os, sys
def test_crashes():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.abort()
"""
    )
    run(pytester, "--junitxml=out.xml", "-o", "junit_logging=all")
    case = next(ET.parse(pytester.path / "out.xml").iter("testcase"))
    failure = case.find("failure")
    assert failure.get("message") == "crashed: the process died of SIGABRT"
    assert "in test_crashes" in failure.text
    assert "to stdout" in case.findtext("system-out")
    assert "to stderr" in case.findtext("system-err")


def test_who_began_in_a_process_that_is_being_ended_for_another_begins_again(pytester):
    pytester.makepyprojecttoml(GRACE)
    # The first test ends by itself when it is being asked for its stacks; then comes TERM.
    pytester.makepyfile(
        """
import os, pytest, signal, time
from tonnage.execute.child import DUMP_SIGNAL

@pytest.mark.timeout(0.3)
def test_late():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, DUMP_SIGNAL})
    signal.sigwait({DUMP_SIGNAL})

def test_next():
    with open("begun", "a") as file:
        file.write("x")
    while os.path.getsize("begun") < 2:
        time.sleep(0.01)
"""
    )
    result = run(pytester, "-p", "no:timeout", "--isolation", "module")
    assert result.parseoutcomes() == {"passed": 2}
    result.stdout.fnmatch_lines(["note: *::test_next had begun in the process of a test that*"])


@pytest.mark.skipif(find_py_spy() is None, reason="py-spy is not installed")
def test_the_stacks_of_other_python_processes_are_asked_for_too(pytester):
    pytester.makepyprojecttoml("[tool.tonnage]\ntimeout_grace_s = 5\n")
    pytester.makepyfile(
        """
import itertools, pytest, subprocess, sys

SERVER = '''
import time
def deep_in_a_server():
    print(flush=True)
    time.sleep(1000)
deep_in_a_server()
'''

@pytest.mark.timeout(0.3)
def test_hangs():
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    server.stdout.readline()
    sum(itertools.repeat(0))
"""
    )
    result = run(pytester, "-p", "no:timeout", "--isolation", "test")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["*deep_in_a_server (<string>:5)*"])
