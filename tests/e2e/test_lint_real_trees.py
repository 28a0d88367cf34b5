"""What lint reads of other projects' tests is what pytest collects; see examples/real_suites.py.

Two suites that can be collected with nothing installed but pytest: one of functions, classes and
fixtures, one of `unittest.TestCase` classes. `examples/lint_agreement.py` compares larger ones.
"""

import sys

import pytest
from examples.lint_agreement import collect, compare, read
from examples.real_suites import SUITES, fetch, unpack
from tests.e2e.test_real_suites import why_index_is_unreachable

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.e2e,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

# By name, with a number of tests that each had before any parametrisation.
AT_LEAST = {"pluggy": 100, "more-itertools": 500}


@pytest.mark.parametrize(
    "suite", [each for each in SUITES if each.name in AT_LEAST], ids=lambda each: each.name
)
def test_reading_and_collection_agree_on_a_published_suite(suite, tmp_path):
    reason = why_index_is_unreachable()
    if reason is not None:
        pytest.skip(f"the package index cannot be reached: {reason}")
    root = unpack(fetch(suite, tmp_path), tmp_path, suite)
    collected = collect(sys.executable, root, suite.tests)
    agreement = compare(read(root, suite.tests), collected)
    assert agreement.differences == []
    assert not collected.not_collected
    assert agreement.compared >= AT_LEAST[suite.name]
    # Doubts explain differences: where there are few, agreement means something.
    assert agreement.certain >= 0.9 * agreement.compared
    assert agreement.explained.total() <= 0.02 * agreement.compared
