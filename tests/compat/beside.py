"""A small suite run plain and packed with chosen plugins, and what the two runs say compared.

The suites under test load the plugins they are about and no others: everything that the project's
own environment has installed would be slow and would change what is compared.
"""

import re

import pytest
from tests.packed import run

# One of each outcome, in one module, with output.
OUTCOMES = """
import sys
import pytest

def test_passes():
    print("said by test_passes")

def test_fails():
    print("said by test_fails")
    sys.stderr.write("warned by test_fails\\n")
    assert 1 == 2

@pytest.fixture
def broken():
    raise RuntimeError("no fixture today")

def test_errors_in_setup(broken): pass

@pytest.fixture
def broken_after():
    yield
    raise RuntimeError("no teardown today")

def test_errors_in_teardown(broken_after): pass

@pytest.mark.skip(reason="not now")
def test_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_xfails(): assert 0

@pytest.mark.xfail(reason="known")
def test_xpasses(): pass

@pytest.mark.parametrize("value", [1, "two"])
def test_cases(value): assert value
"""
LEVELS = ("test", "worker")


def packed(pytester: pytest.Pytester, level: str, *args: str) -> pytest.RunResult:
    """A packed run at one isolation level."""
    return run(pytester, "--isolation", level, *args)


def plain(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """The same without us."""
    return run(pytester, *args, pack=False)


def said(result: pytest.RunResult) -> list[str]:
    """The lines of a run's output, sorted, without what differs from run to run.

    Left out: the header, the progress of the tests and our own section.
    """
    text = re.sub(
        r"^=+ tonnage =+\n(?!=)(?:.*\n)*?(?==)", "", result.stdout.str() + "\n", flags=re.M
    )
    lines = []
    for line in text.splitlines():
        if line.startswith(_HEADER) or _PROGRESS.search(line):
            continue
        for pattern, replacement in _VARYING:
            line = pattern.sub(replacement, line)
        if line.strip():
            lines.append(line.rstrip())
    return sorted(lines)


_HEADER = (
    "platform ",
    "cachedir:",
    "rootdir:",
    "configfile:",
    "plugins:",
    "collecting",
    "tonnage:",
)
_PROGRESS = re.compile(r"\[ *\d+(%|/\d+)\]$|^collected \d+ item|^$")
_VARYING = [
    (re.compile(r"\d+\.\d+ ?s(econds)?\b"), "N s"),
    (re.compile(r"0x[0-9a-f]+"), "0x0"),
    (re.compile(r"[=_-]{3,}"), "==="),
    (re.compile(r"\(N s\)"), ""),
]
