"""Writing the demo suite: ordinary test files that a reader may keep and change."""

from collections.abc import Iterable
from pathlib import Path

from tonnage.demo.workload import DemoTest, published_job

# Below this a loaded machine, not the test, decides whether the timeout is kept.
_LEAST_SPARE_S = 3.0

_GPU_HEAD = '''"""Tests of one area of a serving product; each sleeps where GPU work would be."""

import time

import pytest

from tonnage.testkit import simgpu
'''

_GPU_TEST = """

@pytest.mark.{lifecycle}
@pytest.mark.e2e
@pytest.mark.gpu_1
@pytest.mark.max_vram_gib({vram_gib:g})
@pytest.mark.timeout({timeout_s:g})
def test_{name}():
    with simgpu.allocate({held_gib:g}):
        time.sleep({seconds:g})
"""

_FILLERS = '''"""Tests that need no GPU; they fill the CPU slots that the GPU tests leave."""

import time

import pytest


@pytest.mark.pre_merge
@pytest.mark.unit
@pytest.mark.gpu_0
@pytest.mark.timeout({timeout_s:g})
@pytest.mark.parametrize("number", range({count}))
def test_filler(number):
    time.sleep({seconds:g})
'''

_CONFIGURATION = """\
[pytest]
addopts = -p no:cacheprovider
"""


def write_suite(directory: Path, time_scale: float) -> None:
    """Write the suite into `directory`; every test takes `time_scale` of its published time.

    A GPU test holds a tenth less than it declares, as a declaration with its safety would.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tests = published_job()
    (directory / "pytest.ini").write_text(_CONFIGURATION, encoding="utf-8")
    for area in sorted({test.area for test in tests}):
        members = [test for test in tests if test.area == area]
        text = (
            _fillers(members, time_scale)
            if area == "fillers"
            else _GPU_HEAD + "".join(_gpu_tests(members, time_scale))
        )
        (directory / f"test_{area}.py").write_text(text, encoding="utf-8")


def _gpu_tests(tests: Iterable[DemoTest], time_scale: float) -> Iterable[str]:
    for test in tests:
        yield _GPU_TEST.format(
            # The long ones are kept for the night, as such suites do.
            lifecycle="nightly" if test.runtime_s > 150 else "pre_merge",
            vram_gib=test.vram_gib,
            held_gib=round(test.vram_gib / 1.1, 2),
            timeout_s=_timeout_s(test, time_scale),
            name=test.name,
            seconds=test.runtime_s * time_scale,
        )


def _fillers(tests: list[DemoTest], time_scale: float) -> str:
    return _FILLERS.format(
        timeout_s=_timeout_s(tests[0], time_scale),
        count=len(tests),
        seconds=tests[0].runtime_s * time_scale,
    )


def _timeout_s(test: DemoTest, time_scale: float) -> float:
    # Never so close to what the test takes that a busy machine makes it fail.
    safe_s = test.runtime_s * time_scale * 1.5 + _LEAST_SPARE_S
    return round(max(test.timeout_s * time_scale, safe_s), 2)
