"""Tests and files that misbehave: a clear outcome for each, all others unaffected."""

import os
import signal

import pytest
from tests.packed import outcomes, processes_of, run

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

BAD = {
    "exits": ("import os; print('on my way'); os._exit(3)", "exited with status 3"),
    "segfaults": ("import ctypes; ctypes.string_at(0)", "died of SIGSEGV"),
    "kills_itself": ("import os; os.kill(os.getpid(), 9)", "died of SIGKILL"),
    "aborts": ("import os; os.abort()", "died of SIGABRT"),
}


@pytest.mark.parametrize("isolation", ["test", "worker"])
@pytest.mark.parametrize("name", BAD)
def test_a_test_that_ends_its_process_is_a_crash_and_the_others_pass(pytester, name, isolation):
    body, reason = BAD[name]
    pytester.makepyfile(
        test_it=f"""
        def test_before(): pass
        def test_bad():
            {body}
        def test_after(): pass
        def test_last(): pass
        """
    )
    result = run(pytester, "--isolation", isolation, "--junitxml=out.xml")
    assert outcomes(pytester.path / "out.xml") == {
        "test_it::test_before": "passed",
        "test_it::test_bad": "failure",
        "test_it::test_after": "passed",
        "test_it::test_last": "passed",
    }
    result.stdout.fnmatch_lines([f"FAILED test_it.py::test_bad - crashed: the process {reason}*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_crash_shows_the_stack_and_the_last_output(pytester):
    pytester.makepyfile(
        """
        import ctypes
        def test_bad():
            print("last words")
            ctypes.string_at(0)
        """
    )
    text = run(pytester).stdout.str()
    assert "last words" in text
    assert "Segmentation fault" in text
    assert "in test_bad" in text
    assert "tonnage/execute" not in text


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_crash_in_a_fixture_is_an_error(pytester, phase):
    before, after = ("os._exit(3)", "pass") if phase == "setup" else ("pass", "os._exit(3)")
    pytester.makepyfile(
        f"""
        import os, pytest
        @pytest.fixture
        def bad():
            {before}
            yield
            {after}
        def test_it(bad): pass
        def test_other(): pass
        """
    )
    result = run(pytester)
    assert result.parseoutcomes()["errors"] == 1
    # In teardown the test's call has passed, and counts as in pytest.
    assert result.parseoutcomes()["passed"] == (1 if phase == "setup" else 2)


def test_a_file_that_ends_the_process_while_imported_is_a_collection_error(pytester):
    pytester.makepyfile(
        test_exits="import os; os._exit(7)",
        test_crashes="import ctypes; ctypes.string_at(0)",
        test_good="def test_good(): pass",
    )
    result = run(pytester)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines_random(
        [
            "the process exited with status 7 while importing this file",
            "ERROR test_exits.py*",
            "the process died of SIGSEGV while importing this file*",
            "ERROR test_crashes.py*",
            "*Interrupted: 2 errors during collection*",
        ]
    )
    others = run(pytester, "--continue-on-collection-errors")
    assert others.parseoutcomes() == {"passed": 1, "errors": 2}


def test_a_conftest_that_ends_the_process_is_said_to_be_lost(pytester):
    pytester.makepyfile("def test_good(): pass")
    pytester.makeconftest(
        """
        import os
        def pytest_collection_modifyitems(items):
            os._exit(9)
        """
    )
    result = run(pytester)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "exited with status 9" in result.stdout.str() + result.stderr.str()


def test_a_hundred_megabytes_of_output_hurt_nobody(pytester):
    pytester.makepyfile(
        """
        import sys
        def test_loud():
            for _ in range(100):
                sys.stdout.write("x" * 999_999 + "\\n")
            assert False
        def test_quiet(): pass
        """
    )
    result = run(pytester)
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}
    assert "characters of output left out here" in result.stdout.str()


def test_a_test_that_forks_reports_once(pytester):
    pytester.makepyfile(
        """
        import os
        def test_forks():
            if os.fork() == 0:
                return          # the child walks back into pytest
            os.wait()
        def test_next(): pass
        """
    )
    assert run(pytester).parseoutcomes() == {"passed": 2}


def test_what_a_test_leaves_behind_is_ended_and_named(pytester):
    mark = f"left-behind-{os.getpid()}"
    pytester.makepyfile(
        f"""
        import subprocess, sys
        def test_leaves():
            subprocess.Popen(
                [sys.executable, "-c", "import time; time.sleep(600)", "{mark}"],
                start_new_session=True,
            )
        """
    )
    result = run(pytester, "--isolation", "test")
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["note: *test_leaves left processes behind, now ended: pid *"])
    assert processes_of(mark) == []


@pytest.mark.parametrize("isolation", ["test", "worker"])
def test_a_changed_directory_is_not_the_next_tests_concern(pytester, isolation):
    pytester.makepyfile(
        """
        import os
        START = os.getcwd()
        def test_changes(): os.chdir("/")
        def test_next(): assert os.getcwd() == START
        """
    )
    result = run(pytester, "--slots", "1", "--isolation", isolation)
    assert result.parseoutcomes() == {"passed": 2}


def test_a_directory_set_by_a_wider_fixture_stays_for_its_tests(pytester):
    pytester.makepyfile(
        """
        import os, pytest
        @pytest.fixture(scope="module")
        def elsewhere(tmp_path_factory):
            before = os.getcwd()
            os.chdir(tmp_path_factory.mktemp("here"))
            yield os.getcwd()
            os.chdir(before)
        def test_one(elsewhere): assert os.getcwd() == elsewhere
        def test_two(elsewhere): assert os.getcwd() == elsewhere
        """
    )
    result = run(pytester, "--slots", "1", "--isolation", "worker")
    assert result.parseoutcomes() == {"passed": 2}


def test_a_declared_timeout_ends_the_test_with_its_stack(pytester):
    pytester.makepyfile(
        """
        import pytest, time
        @pytest.mark.timeout(0.5)
        def test_slow(): time.sleep(600)
        def test_quick(): pass
        """
    )
    result = run(pytester, "-p", "no:timeout")
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(
        [
            ">*def test_slow(): time.sleep(600)",
            "E *timeout: ran longer than its declared 0.5 s",
            "*test_slow (timeout)*",
        ]
    )


def test_a_test_that_will_not_stop_is_ended_from_outside(pytester):
    pytester.makepyfile(
        """
        import pytest, signal, time
        @pytest.mark.timeout(0.5)
        def test_stubborn():
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(600)
        """
    )
    pytester.makepyprojecttoml("[tool.tonnage]\ntimeout_grace_s = 0.5\n")
    result = run(pytester, "-p", "no:timeout")
    assert result.parseoutcomes() == {"failed": 1}
    text = result.stdout.str()
    assert "did not stop, and was ended with everything it had started" in text
    assert "in test_stubborn" in text


def test_threads_started_at_import_mean_new_interpreters_for_that_file(pytester):
    pytester.makepyfile(
        test_threads="""
        import threading, time
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        def test_thread_is_there(): assert threading.active_count() == 2
        """,
        test_plain="""
        import threading
        def test_no_thread_here(): assert threading.active_count() == 1
        """,
    )
    result = run(pytester)
    assert result.parseoutcomes() == {"passed": 2}
    result.stdout.fnmatch_lines(
        ["note: after importing test_threads.py 2 threads are running*its 1 test*new interpreters*"]
    )


def test_threads_started_by_a_conftest_mean_new_interpreters_for_all(pytester):
    pytester.makeconftest(
        """
        import threading
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        """
    )
    pytester.makepyfile(
        """
        import threading
        def test_one(): assert threading.active_count() == 2
        def test_two(): pass
        """
    )
    result = run(pytester)
    assert result.parseoutcomes() == {"passed": 2}
    assert "all tests run in new interpreters" in result.stdout.str()


def test_contradicting_marks_are_that_tests_error_with_their_places(pytester):
    pytester.makepyfile(
        test_marks="""
        import pytest

        @pytest.mark.gpu_1
        @pytest.mark.gpu_2
        def test_two_counts(): pass

        @pytest.mark.gpu_1
        @pytest.mark.max_vram_gib("much")
        def test_not_a_number(): pass

        def test_fine(): pass
        """
    )
    pytester.makepyprojecttoml("[tool.tonnage]\n")
    result = run(pytester, "--gpus", "sim:1x24")
    assert result.parseoutcomes() == {"passed": 1, "errors": 2}
    result.stdout.fnmatch_lines_random(
        ["*gpu_1: test_marks.py:3", "*gpu_2: test_marks.py:4", "*max_vram_gib: test_marks.py:8"]
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--gpus", "sim:2y24"], "--gpus: "),
        (["--slots", "0"], '--slots: "0" is not a number of slots'),
        (["--isolation", "tset"], '--isolation: "tset" is not one of test, group, module, worker'),
        (["--undeclared", "maybe"], '--undeclared: "maybe" is not one of learn, whole, cpu, error'),
        (["--max-vram-gib", "lots"], '--max-vram-gib: "lots" is not an amount of memory'),
        (["--stage", "nihgtly"], '--stage: there is no stage "nihgtly"'),
    ],
)
def test_an_option_that_cannot_be_used_is_named(pytester, args, message):
    pytester.makepyfile("def test_it(): pass")
    result = run(pytester, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tool.tonnage]\nslotz = 3\n", 'did you mean "slots"?'),
        ("[tool.tonnage]\nslots = -1\n", "slots"),
        ("[tool.tonnage\n", "pyproject.toml"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(pytester, content, message):
    pytester.makepyfile("def test_it(): pass")
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    pytester.makepyprojecttoml(content)
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_an_unwritable_trace_is_said_and_the_run_stands(pytester):
    pytester.makepyfile("def test_it(): pass")
    result = run(pytester, "--pack-trace", "no/such/directory/trace.json")
    assert result.parseoutcomes() == {"passed": 1}
    assert result.ret == pytest.ExitCode.OK
    assert "--pack-trace" in result.stdout.str()


def test_bad_signals_are_defaults_in_the_tests(pytester):
    pytester.makepyfile(
        f"""
        import signal
        def test_handlers():
            assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            assert signal.getsignal(signal.{signal.SIGINT.name}) == signal.default_int_handler
        """
    )
    assert run(pytester).parseoutcomes() == {"passed": 1}
