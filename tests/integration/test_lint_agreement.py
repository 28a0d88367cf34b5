"""What lint reads is what pytest collects: one tree that has a case of every rule."""

import sys
from pathlib import Path

import pytest
from examples.lint_agreement import Agreement, Collected, collect, compare, read

from tonnage.lint.source import Reading

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(300),
]

FILES = {
    "pytest.ini": """
        [pytest]
        python_files = test_*.py check_*.py
        python_functions = test should_*
        testpaths = suite
        norecursedirs = skipped
        addopts = --ignore=suite/ignored_by_option
        """,
    "suite/conftest.py": """
        import pytest
        collect_ignore = ["test_left_out.py"]
        collect_ignore_glob = ["test_glob_*"]

        @pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu_1)])
        def backend(request):
            return request.param

        @pytest.fixture
        def engine(backend):
            return backend

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.everywhere)
                if "test_names" in item.nodeid:
                    item.add_marker("named")
                if item.get_closest_marker("slow"):
                    item.add_marker(pytest.mark.skip)
        """,
    "suite/test_names.py": """
        def test_plain(): pass
        async def test_async(): pass
        def should_be_found(): pass
        def testing_without_underscore(): pass
        def not_a_test(): pass
        test_lambda = lambda: None
        test_data = [1, 2]
        test_number = 3
        test_twice = test_plain
        def test_removed(): pass
        del test_removed
        def test_redefined(): pass
        def test_redefined(): pass
        def test_switched_off(): pass
        test_switched_off.__test__ = False
        def switched_on(): pass
        switched_on.__test__ = True
        class test_lower: pass
        if True:
            def test_under_true(): pass
        if False:
            def test_never(): pass
        else:
            def test_always(): pass
        with open(__file__):
            def test_in_with(): pass
        """,
    "suite/test_doubtful.py": """
        import os
        if os.environ.get("THIS_IS_NOT_SET"):
            def test_if(): pass
        else:
            def test_else(): pass
        try:
            import there_is_no_such_module
            def test_try(): pass
        except ImportError:
            def test_except(): pass
        for number in range(2):
            globals()[f"test_made_{number}"] = lambda: None
        """,
    "suite/test_fixtures.py": """
        import pytest
        @pytest.fixture
        def test_is_a_fixture(): pass
        @pytest.fixture(name="other", params=[pytest.param(1, marks=[pytest.mark.local])])
        def _other(request): pass
        def test_direct(backend): pass
        def test_indirect(engine): pass
        def test_other(other): pass
        @pytest.mark.usefixtures("other")
        def test_used(): pass
        @pytest.mark.parametrize("backend", [1])
        def test_overridden(backend): pass
        class TestAuto:
            @pytest.fixture(autouse=True)
            def auto(self, other): pass
            def test_auto(self): pass
        """,
    "suite/test_classes.py": """
        import abc, dataclasses, enum, unittest
        from unittest import TestCase, TestLoader
        from typing import NamedTuple
        class TestPlain:
            def test_a(self): pass
            @staticmethod
            def test_static(): pass
            @classmethod
            def test_class_method(cls): pass
            @property
            def test_property(self): pass
            test_value = 1
            class TestInner:
                def test_b(self): pass
            class Helper:
                def test_no(self): pass
        class Mixin:
            def test_mixed(self): pass
            def test_replaced(self): pass
        class TestChild(Mixin, TestPlain):
            def test_replaced(self): pass
            test_static = None
        class TestInit:
            def __init__(self): pass
            def test_no(self): pass
        class TestNew:
            def __new__(cls): pass
            def test_no(self): pass
        class TestInitInBase(TestInit):
            def test_no_either(self): pass
        class TestOff:
            __test__ = False
            def test_no(self): pass
        class TestOffInherited(TestOff): pass
        class TestOnAgain(TestOff):
            __test__ = True
        class Chosen:
            __test__ = True
            def test_yes(self): pass
        @dataclasses.dataclass
        class TestData:
            value: int = 0
            def test_no(self): pass
        class TestTuple(NamedTuple):
            value: int = 0
            def test_no(self): pass
        class TestError(Exception):
            def test_no(self): pass
        class TestAbstract(abc.ABC):
            @abc.abstractmethod
            def needed(self): pass
            def test_shared(self): pass
        class TestConcrete(TestAbstract):
            def needed(self): pass
        class OldStyle(unittest.TestCase):
            def test_old(self): pass
            def helper(self): pass
            def should_not(self): pass
        class OldChild(OldStyle):
            def testNew(self): pass
        class OldOff(unittest.TestCase):
            __test__ = False
            def test_no(self): pass
        class OldSingle(unittest.TestCase):
            def runTest(self): pass
        TestAlias = Chosen
        """,
    "suite/test_marks.py": """
        import pytest
        from pytest import mark
        gpu = pytest.mark.gpu_1
        limit = mark.timeout(30)
        both = [gpu, limit]
        cases = [pytest.param(1, marks=gpu), 2]
        def needs(name):
            return pytest.mark.skipif(name is None, reason="never")
        def slowly(function):
            return pytest.mark.slow(function)
        pytestmark = [mark.unit]
        pytestmark += [mark.nightly]
        @gpu
        @limit
        def test_aliases(): pass
        @pytest.mark.parametrize("x", [1, pytest.param(2, marks=[mark.h100, mark.slow])])
        def test_cases(x): pass
        @pytest.mark.parametrize("x", cases)
        def test_cases_by_name(x): pass
        @pytest.mark.parametrize("x", [pytest.param(n, marks=gpu) for n in range(3)])
        def test_cases_computed(x): pass
        @needs("x")
        def test_factory(): pass
        @slowly
        def test_decorator(): pass
        @mark.skipif.with_args("1 > 2", reason="y")
        def test_with_args(): pass
        @getattr(pytest.mark, "by_name")
        def test_getattr(): pass
        class TestBase:
            pytestmark = mark.base
            def test_a(self): pass
        @mark.child
        class TestDerived(TestBase):
            pytestmark = both
            local = mark.local
            @local
            def test_b(self): pass
        test_by_hand = pytest.mark.by_hand(lambda: None)
        """,
    "suite/pkg/__init__.py": "",
    "suite/pkg/base.py": """
        import pytest
        import unittest
        pytestmark = pytest.mark.from_base
        shared = pytest.mark.shared
        class SharedTests:
            @shared
            def test_shared(self): pass
        class SharedCase(unittest.TestCase):
            def test_case(self): pass
        def test_imported(): pass
        def _test_private(): pass
        """,
    "suite/pkg/test_star.py": """
        from suite.pkg.base import *
        class TestHere(SharedTests):
            def test_here(self): pass
        """,
    "suite/pkg/test_relative.py": """
        from . import base
        from .base import SharedTests as Shared, shared as common, test_imported as test_renamed
        class TestRelative(Shared): pass
        class TestByModule(base.SharedTests): pass
        class MyCase(base.SharedCase): pass
        @common
        def test_common(): pass
        """,
    "suite/check_pattern.py": "def test_by_pattern(): pass",
    "suite/other_name.py": "def test_not_by_name(): pass",
    "suite/test_left_out.py": "def test_no(): pass",
    "suite/test_glob_1.py": "def test_no(): pass",
    "suite/skipped/test_x.py": "def test_no(): pass",
    "suite/ignored_by_option/test_x.py": "def test_no(): pass",
    "suite/environment/pyvenv.cfg": "",
    "suite/environment/bin/activate": "",  # by which pytest 8.0 knows one
    "suite/environment/test_x.py": "def test_no(): pass",
    "suite/test_broken.py": "def test_no(:",
    "suite/test_skipped_module.py": """
        import pytest
        def test_before(): pass
        pytest.importorskip("there_is_no_such_module")
        def test_after(): pass
        """,
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> tuple[Reading, Collected, Agreement]:
    root: Path = tmp_path_factory.mktemp("tree")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        path.write_text("\n".join(line[8:] if line[:8].isspace() else line for line in lines))
    collected = collect(sys.executable, root, ["suite"])
    reading = read(root, ["suite"])
    return reading, collected, compare(reading, collected)


def test_reading_and_collection_agree(seen):
    _, _, agreement = seen
    assert agreement.differences == []
    assert agreement.compared > 55


def test_most_of_it_is_certain(seen):
    """Declared doubts explain differences: they must stay few, or agreement means nothing."""
    reading, collected, _ = seen
    in_doubt = {test.node_id for test in reading.tests if test.unknown}
    assert in_doubt == set()
    only_pytest = set(collected.tests) - {test.node_id for test in reading.tests}
    assert {node_id.partition("::")[0] for node_id in only_pytest} <= {"suite/test_doubtful.py"}
    only_reading = {test.node_id for test in reading.tests} - set(collected.tests)
    assert only_reading == {
        "suite/test_doubtful.py::test_if",
        "suite/test_doubtful.py::test_try",
        "suite/test_skipped_module.py::test_before",
        "suite/test_skipped_module.py::test_after",
    }


def test_the_comparison_notices(seen):
    """A reading that lost a test, made one up or missed a mark does not pass."""
    _, collected, _ = seen
    tests = dict(collected.tests)
    tests["suite/test_names.py::test_made_up"] = frozenset()
    tests.pop("suite/test_names.py::test_plain")
    tests["suite/test_names.py::test_async"] |= {"secret"}
    reading = seen[0]
    found = compare(reading, Collected(tests, collected.not_collected)).differences
    assert sorted(line.split("::")[1].partition(":")[0] for line in found) == [
        "test_async",
        "test_made_up",
        "test_plain",
    ]
