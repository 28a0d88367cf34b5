"""syrupy: snapshots of tests in many processes are compared, written and told unused as one."""

import pytest
from tests.compat.beside import LEVELS, packed, plain
from tests.packed import load_only

pytest.importorskip("syrupy", reason="syrupy is not installed")

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]

SUITE = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_number(snapshot, n): assert n == snapshot

def test_text(snapshot): assert "some text" == snapshot

def test_without(): pass
"""


def snapshots(suite):
    return {path.name: path.read_text() for path in (suite.path / "__snapshots__").iterdir()}


def summary(result):
    """syrupy's own block of the report."""
    lines = result.outlines
    begin = next(n for n, line in enumerate(lines) if "snapshot report summary" in line)
    return [line for line in lines[begin:] if "snapshot" in line or line.startswith("Re-run")]


@pytest.mark.parametrize("level", LEVELS)
def test_snapshots_are_written_compared_and_found_unused_as_in_pytest(pytester, monkeypatch, level):
    load_only(monkeypatch, "syrupy", "xdist" if level == "test" else "no:xdist")
    pytester.makepyfile(test_suite=SUITE)
    plain(pytester, "--snapshot-update")
    expected = snapshots(pytester)
    (pytester.path / "__snapshots__" / "test_suite.ambr").unlink()
    assert packed(pytester, level, "--snapshot-update").ret == 0
    assert snapshots(pytester) == expected

    pytester.makepyfile(test_suite=SUITE.replace("range(3)", "range(2)"))
    without = plain(pytester)
    result = packed(pytester, level)
    assert result.ret == without.ret != 0
    assert summary(result) == summary(without)
    assert packed(pytester, level, "--snapshot-update").ret == 0
    assert "test_number[2]" not in snapshots(pytester)["test_suite.ambr"]
    assert "test_number[1]" in snapshots(pytester)["test_suite.ambr"]
    assert list(snapshots(pytester)) == ["test_suite.ambr"]
