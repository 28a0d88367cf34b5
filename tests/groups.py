"""A control group of a test's own, out of the way of other runs on the machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tonnage.execute.cgroup import own_directory


@contextmanager
def own_group(name: str) -> Iterator[Path]:
    """Make it below our own; skips the test where that cannot be. It must be empty at the end."""
    own = own_directory()
    if own is None:
        pytest.skip("no cgroup v2 hierarchy here")
    try:
        (own / name).mkdir()
    except OSError as error:
        pytest.skip(f"cgroups cannot be made here: {error.strerror}")
    try:
        yield own / name
    finally:
        (own / name).rmdir()
