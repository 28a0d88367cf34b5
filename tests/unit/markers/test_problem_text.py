"""How a wrong mark is told."""

import pytest

from tonnage.errors import MarkerError, MarkerProblem
from tonnage.markers.problem_text import problem_text

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

TWO_COUNTS = MarkerProblem(("gpu_1", "gpu_2"), "gpu_1 and gpu_2 disagree", "Keep one.")
BAD_TIMEOUT = MarkerProblem(("timeout",), "timeout('x') is no number", "Give a number.")


def test_each_problem_has_its_places_and_its_fix():
    lines = {"gpu_1": [12], "gpu_2": [3, 5], "unit": [1]}
    text = problem_text(MarkerError([TWO_COUNTS, BAD_TIMEOUT]), path="tests/test_a.py", lines=lines)
    assert text.splitlines() == [
        "gpu_1 and gpu_2 disagree",
        "  gpu_1: tests/test_a.py:12",
        "  gpu_2: tests/test_a.py:3, tests/test_a.py:5",
        "  Keep one.",
        "timeout('x') is no number",
        "  timeout: not found in tests/test_a.py; a base class, conftest or plugin may add it",
        "  Give a number.",
    ]


def test_the_error_alone_says_everything_but_the_places():
    assert str(MarkerError([TWO_COUNTS, BAD_TIMEOUT])) == (
        "gpu_1 and gpu_2 disagree; timeout('x') is no number\n  Keep one. Give a number."
    )
