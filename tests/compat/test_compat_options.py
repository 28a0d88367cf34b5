"""pytest's own options: packed, a run says what it says without --pack, line by line."""

import pytest
from tests.compat.beside import OUTCOMES, packed, plain, said
from tests.packed import load_only

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

LOGGING = """
import logging

def test_logs():
    logging.getLogger("a").warning("logged and passed")

def test_logs_and_fails():
    logging.getLogger("a").info("too low")
    logging.getLogger("a").warning("logged and failed")
    assert 0
"""
# Several options a run: each line of the table is two starts of pytest.
SAME_LINES = [
    "-rA --tb=short",
    "-rfE --tb=line --show-capture=stderr",
    "--tb=no -q",
    "--tb=long -l --no-header --disable-warnings",
    "-vv --capture=sys",
    "--runxfail --show-capture=log --log-level=INFO",
    "--import-mode=importlib --strict-markers --strict-config --assert=plain",
    "-o console_output_style=count --basetemp=temporary -p no:cacheprovider",
    "-c own.ini --rootdir=. --confcutdir=.",
    "-p no:logging -p no:tmpdir -p no:junitxml --code-highlight=no",
]
PLAIN_PYTEST = ["--fixtures", "--fixtures-per-test", "--cache-show", "--collect-only -q", "--help"]


@pytest.fixture
def suite(pytester, monkeypatch):
    load_only(monkeypatch)
    pytester.makepyfile(test_suite=OUTCOMES, test_logging=LOGGING)
    (pytester.path / "own.ini").write_text("[pytest]\n")
    return pytester


@pytest.mark.parametrize("options", SAME_LINES)
def test_a_packed_run_says_the_same(suite, options):
    expected = plain(suite, *options.split())
    result = packed(suite, "test", *options.split())
    assert said(result) == said(expected)
    assert len(said(result)) >= 1
    assert result.ret == expected.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("options", PLAIN_PYTEST)
def test_what_runs_no_test_is_pytest_itself(suite, options):
    expected = plain(suite, *options.split())
    result = packed(suite, "test", *options.split())
    assert said(result) == said(expected)
    assert result.ret == expected.ret == pytest.ExitCode.OK


def test_without_a_terminal_plugin_only_the_exit_code_speaks(suite):
    result = packed(suite, "test", "-p", "no:terminal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.outlines == []


def test_output_is_shown_at_once_and_captured_with_tee_sys(suite):
    result = packed(suite, "test", "--capture=tee-sys", "test_suite.py")
    assert result.stdout.str().count("said by test_fails") == 3  # the source, live, captured
    assert result.stdout.str().count("said by test_passes") == 1


def test_the_log_file_is_that_of_plain_pytest(suite):
    args = ["--log-file=log.txt", "--log-file-level=INFO", "test_logging.py"]
    plain(suite, *args)
    expected = (suite.path / "log.txt").read_text()
    packed(suite, "test", "--slots=1", *args)
    assert (suite.path / "log.txt").read_text() == expected
    assert "too low" in expected


def test_live_logs_are_left_to_the_reports_and_said(suite):
    result = packed(suite, "test", "--log-cli-level=INFO", "test_logging.py")
    result.stdout.fnmatch_lines(
        ["tonnage: live logs are not shown*", "*Captured log call*", "*logged and failed"]
    )
