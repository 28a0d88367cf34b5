"""Plugins that act inside a test: timeout, mock, asyncio, anyio, randomly, hypothesis, unittest."""

import re

import pytest
from tests.compat.beside import LEVELS, packed, plain
from tests.packed import load_only, outcomes, run, skip_without

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]


def same_outcomes(pytester, *args, levels=LEVELS):
    """Run plain and packed at each level; the outcomes by test, which are the same."""
    expected = plain(pytester, "--junitxml=plain.xml", *args)
    cases = outcomes(pytester.path / "plain.xml")
    for level in levels:
        result = packed(pytester, level, "--junitxml=packed.xml", *args)
        assert outcomes(pytester.path / "packed.xml") == cases
        assert result.parseoutcomes() == expected.parseoutcomes()
        assert result.ret == expected.ret
    return cases


def test_pytest_timeout(pytester, monkeypatch):
    skip_without("pytest_timeout", "pytest-timeout")
    load_only(monkeypatch, "timeout")
    pytester.makepyfile(
        test_it="""
        import pytest, threading
        @pytest.mark.timeout(0.3)
        def test_marked(): threading.Event().wait()
        def test_by_option(): threading.Event().wait()
        @pytest.mark.timeout(0.3, method="thread")
        def test_by_thread(): threading.Event().wait()
        def test_quick(): pass
        """
    )
    result = packed(pytester, "worker", "--timeout=0.5", "-k", "not thread")
    assert result.parseoutcomes() == {"failed": 2, "passed": 1, "deselected": 1}
    result.stdout.fnmatch_lines_random(
        [
            "*test_marked (timeout): *Timeout (>0.3s) from pytest-timeout*",
            "*test_by_option (timeout): *Timeout (>0.5s) from pytest-timeout*",
        ]
    )
    # Its other method ends the whole pytest; here it ends the process of that test.
    result = packed(pytester, "worker", "-k", "thread or quick")
    assert result.parseoutcomes() == {"failed": 1, "passed": 1, "deselected": 2}
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_by_thread - crashed: *status 1*"])


def test_pytest_mock(pytester, monkeypatch):
    skip_without("pytest_mock", "pytest-mock")
    load_only(monkeypatch, "pytest_mock")
    pytester.makepyfile(
        test_it="""
        import os
        def test_patched(mocker):
            mocker.patch("os.getcwd", return_value="elsewhere")
            assert os.getcwd() == "elsewhere"
        def test_restored(mocker): assert os.getcwd() != "elsewhere"
        def test_wrong(mocker):
            mock = mocker.Mock()
            mock(1)
            mock.assert_called_once_with(2)
        """
    )
    assert sorted(same_outcomes(pytester).values()) == ["failure", "passed", "passed"]


def test_pytest_asyncio(pytester, monkeypatch):
    skip_without("pytest_asyncio", "pytest-asyncio")
    load_only(monkeypatch, "asyncio")
    pytester.makepyfile(
        test_it="""
        import asyncio
        import pytest, pytest_asyncio

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def served():
            queue = asyncio.Queue()
            await queue.put(asyncio.get_running_loop())
            yield queue

        @pytest.mark.asyncio(loop_scope="module")
        async def test_one(served):
            assert served.get_nowait() is asyncio.get_running_loop()
            await served.put(asyncio.get_running_loop())

        @pytest.mark.asyncio(loop_scope="module")
        async def test_two(served):
            assert served.get_nowait() is asyncio.get_running_loop()

        @pytest.mark.asyncio
        async def test_fails(): assert await asyncio.sleep(0, 1) == 2

        def test_without(): pass
        """
    )
    args = ["-o", "asyncio_default_fixture_loop_scope=function"]
    assert sorted(same_outcomes(pytester, *args).values()) == ["failure", *["passed"] * 3]


def test_anyio(pytester, monkeypatch):
    skip_without("anyio", "anyio")
    load_only(monkeypatch, "anyio")
    pytester.makepyfile(
        test_it="""
        import anyio, pytest

        @pytest.fixture(scope="module")
        def anyio_backend(): return "asyncio"

        @pytest.fixture(scope="module")
        async def ready():
            await anyio.sleep(0)
            yield "ready"

        @pytest.mark.anyio
        async def test_passes(ready): assert ready == "ready"

        @pytest.mark.anyio
        async def test_fails(ready): assert ready == "late"
        """
    )
    assert sorted(same_outcomes(pytester).values()) == ["failure", "passed"]


def test_pytest_randomly(pytester, monkeypatch):
    skip_without("pytest_randomly", "pytest-randomly")
    load_only(monkeypatch, "randomly", "no:xdist")
    pytester.makepyfile(
        test_it="""
        import random
        import pytest
        @pytest.mark.parametrize("n", range(6))
        def test_number(n, record_property): record_property("drawn", random.random())
        """
    )

    def drawn():
        text = (pytester.path / "out.xml").read_text()
        return dict(re.findall(r'name="(test_number.*?)".*?value="([\d.]+)"', text))

    def order(result):
        return re.findall(r"test_number\[\d\]", result.stdout.str())

    args = ["-p", "randomly", "-v", "--junitxml=out.xml"]
    expected = order(plain(pytester, *args, "-p", "no:randomly"))
    plain_order = order(plain(pytester, *args, "-p", "randomly", "--randomly-seed=7"))
    numbers = drawn()
    assert plain_order != expected
    result = packed(pytester, "worker", "--slots=1", *args, "--randomly-seed=7")
    assert order(result) == plain_order
    assert drawn() == numbers
    assert len(numbers) == 6
    result.stdout.fnmatch_lines(["Using --randomly-seed=7"])
    # A seed that is made up is made up once for all processes, and can be given again.
    result = packed(pytester, "worker", "--slots=1", *args)
    numbers = drawn()
    packed(pytester, "worker", "--slots=1", *args, "--randomly-seed=last")
    assert drawn() == numbers


def test_hypothesis(pytester, monkeypatch):
    skip_without("hypothesis", "hypothesis")
    load_only(monkeypatch, "hypothesispytest")
    pytester.makepyfile(
        test_it="""
        from hypothesis import event, given, strategies as st
        @given(st.integers(0, 1000))
        def test_finds(n):
            event("seen")
            assert n < 500
        @given(st.booleans())
        def test_holds(b): pass
        """
    )
    args = ["--hypothesis-seed=3", "--hypothesis-show-statistics"]
    plain_result = plain(pytester, *args)
    result = packed(pytester, "test", *args)
    assert result.parseoutcomes() == plain_result.parseoutcomes() == {"passed": 1, "failed": 1}
    for lines in (plain_result.stdout, result.stdout):
        lines.fnmatch_lines(["E *: test_finds(*", "E *n=500*"])
        lines.fnmatch_lines(["*Hypothesis Statistics*"])
        lines.fnmatch_lines_random(["test_it.py::test_finds:", "test_it.py::test_holds:"])
    # A given seed leaves the database alone; without one, what failed is kept for the next run.
    packed(pytester, "test")
    assert any((pytester.path / ".hypothesis" / "examples").iterdir())


def test_unittest(pytester):
    pytester.makepyfile(
        test_it="""
        import os, unittest

        MODULE = []
        def setUpModule(): MODULE.append("up")
        def tearDownModule(): MODULE.append("down")

        class TestClassy(unittest.TestCase):
            @classmethod
            def setUpClass(cls): cls.ready = os.getpid()
            def setUp(self): self.addCleanup(lambda: None)
            def test_one(self): self.assertEqual(self.ready, os.getpid())
            def test_two(self): self.assertEqual(MODULE, ["up"])
            def test_three(self): self.assertTrue(False)
            @unittest.skip("not now")
            def test_skipped(self): pass
            @unittest.expectedFailure
            def test_expected(self): self.fail("as known")

        class TestAsync(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self): self.value = 1
            async def test_awaits(self): self.assertEqual(self.value, 1)

        class TestBroken(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise RuntimeError("no class today")
            def test_never(self): pass
        """
    )
    assert sorted(same_outcomes(pytester).values()) == [
        "error",
        "failure",
        *["passed"] * 3,
        *["skipped"] * 2,
    ]


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="subtests came with pytest 9")
def test_subtests(pytester):
    pytester.makepyfile(
        test_it="""
        import unittest
        def test_subtests(subtests):
            for n in range(3):
                with subtests.test(msg="odd", n=n):
                    assert n != 1
        class TestIt(unittest.TestCase):
            def test_sub(self):
                for n in range(3):
                    with self.subTest(n=n):
                        self.assertNotEqual(n, 2)
        """
    )
    expected = plain(pytester, "-v")
    for level in LEVELS:
        result = packed(pytester, level, "-v")
        assert result.parseoutcomes() == expected.parseoutcomes()
        assert result.ret == expected.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["SUBFAILED*test_it.py::test_subtests*"])


def test_reports_of_own_needs_are_refused_with_the_remedy(pytester, monkeypatch):
    skip_without("pytest_rerunfailures", "pytest-rerunfailures")
    load_only(monkeypatch, "rerunfailures")
    pytester.makepyfile("def test_it(): pass")
    result = run(pytester, "--reruns=1", "--fail-on-flaky")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--fail-on-flaky with --pack: " in result.stderr.str()
    assert "Traceback" not in result.stderr.str()
