"""Shared by all tests: one environment on every machine, and pytest's own tool for plugins."""

import os

import pytest
from hypothesis import settings
from tests.packed import load_only

pytest_plugins = ["pytester"]

# What CI services set and pytest, hypothesis, typer and rich follow: how much of a failure is
# printed, whether examples are kept, colour, width. The tests see none of it, wherever they run.
for name in (
    "BUILD_NUMBER",
    "CI",
    "COLUMNS",
    "FORCE_COLOR",
    "GITHUB_ACTIONS",
    "NO_COLOR",
    "PY_COLORS",
):
    os.environ.pop(name, None)

# On a busy machine any example may take long; no test fails for that.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Pytest's fixture; the suites it runs have the plugins that GPU projects usually have."""
    load_only(monkeypatch, "timeout", "xdist")
    return pytester
