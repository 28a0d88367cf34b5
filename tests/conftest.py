"""Shared by all tests: pytest's own tool for testing plugins."""

import pytest
from tests.packed import load_only

pytest_plugins = ["pytester"]


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Pytest's fixture; the suites it runs have the plugins that GPU projects usually have."""
    load_only(monkeypatch, "timeout", "xdist")
    return pytester
