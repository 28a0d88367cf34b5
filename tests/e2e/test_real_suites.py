"""Suites nobody here wrote end the same way plain and packed; see examples/real_suites.py."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.post_merge,
    pytest.mark.e2e,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "real_suites.py"


def why_index_is_unreachable() -> str | None:
    """The reason why the package index cannot be reached, or None when it can."""
    try:
        with urllib.request.urlopen("https://pypi.org/simple/itsdangerous/", timeout=20):
            return None
    except urllib.error.HTTPError:
        return None  # it answered: a refusal is for the download to report
    except OSError as error:
        return str(error)


def test_small_suites_end_the_same_way_packed(tmp_path):
    reason = why_index_is_unreachable()
    if reason is not None:
        pytest.skip(f"the package index cannot be reached: {reason}")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--cache", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
