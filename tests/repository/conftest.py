"""Fixtures of the tests about the repository."""

import pytest
from tests.packed import load_only


@pytest.fixture(autouse=True)
def usual_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pytest that a test here starts has the plugins that GPU projects usually have."""
    load_only(monkeypatch, "timeout", "xdist")
