"""Packed, a suite behaves as it does under plain pytest: outcomes, options, exit codes."""

import pytest
from tests.packed import outcomes, run

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

SUITE = """
import os, sys, unittest, warnings
import pytest

@pytest.fixture(scope="session")
def session_thing(): yield "s"

@pytest.fixture(scope="module")
def module_thing(session_thing): yield os.getpid()

def test_passes(): pass

def test_fails(): assert 1 == 2

@pytest.fixture
def broken(): raise RuntimeError("no fixture today")

def test_errors_in_setup(broken): pass

@pytest.fixture
def broken_after():
    yield
    raise RuntimeError("no teardown today")

def test_errors_in_teardown(broken_after): pass

@pytest.mark.skip(reason="not now")
def test_skipped(): pass

def test_skips_itself(): pytest.skip("inside")

@pytest.mark.xfail(reason="known")
def test_xfails(): assert 0

@pytest.mark.xfail(reason="known")
def test_xpasses(): pass

@pytest.mark.parametrize("value", ["ü", "a[b]", "x" * 300, "a::b", "new\\nline", "\\ud800", ""])
def test_odd_ids(value): pass

@pytest.fixture(scope="class")
def counted(): return []

class TestClass:
    def test_first(self, counted): counted.append(1)
    def test_second(self, counted, module_thing): assert module_thing == os.getpid()

class TestUnit(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.ready = True
    def test_ready(self): self.assertTrue(self.ready)
    def test_not_equal(self): self.assertEqual(1, 2)

def test_prints(capsys):
    print("caught")
    assert capsys.readouterr().out == "caught\\n"

def test_output_on_failure():
    print("words on the way down")
    sys.stderr.write("and an error line\\n")
    assert False

def test_warns(): warnings.warn("careful now")

def test_temporary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")

def test_properties(record_property, tmp_path): record_property("where", tmp_path)
"""
DOCTEST = '''
def double(x):
    """
    >>> double(2)
    4
    >>> double(3)
    7
    """
    return 2 * x
'''


@pytest.fixture
def suite(pytester):
    pytester.makepyfile(test_suite=SUITE, lib=DOCTEST)
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def around():
            yield
        """
    )
    return pytester


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--isolation", "test"],
        ["--isolation", "worker"],
        ["-k", "odd or class"],
        ["-m", "not slow", "--deselect", "test_suite.py::test_fails"],
        ["--doctest-modules"],
        ["-p", "no:cacheprovider"],
        ["-W", "error"],
        ["-s"],
        ["test_suite.py::TestUnit", "test_suite.py::test_passes"],
    ],
    ids=" ".join,
)
def test_outcomes_are_those_of_plain_pytest(suite, args):
    plain_args = [arg for arg in args if arg not in ("--isolation", "test", "worker")]
    plain = run(suite, "--junitxml=plain.xml", *plain_args, pack=False)
    packed = run(suite, "--junitxml=packed.xml", *args)
    assert outcomes(suite.path / "packed.xml") == outcomes(suite.path / "plain.xml")
    assert packed.parseoutcomes() == plain.parseoutcomes()
    assert packed.ret == plain.ret


def test_failures_show_their_traceback_and_output(suite):
    result = run(suite, "-k", "output_on_failure")
    result.stdout.fnmatch_lines(
        [
            "*_ test_output_on_failure _*",
            "E       assert False",
            "*Captured stdout call*",
            "words on the way down",
            "*Captured stderr call*",
            "and an error line",
            "FAILED test_suite.py::test_output_on_failure - assert False",
        ]
    )


def test_verbose_names_each_test_with_its_result(suite):
    result = run(suite, "-v", "-k", "passes or skipped")
    result.stdout.fnmatch_lines_random(
        [
            "test_suite.py::test_passes PASSED*",
            "test_suite.py::test_skipped SKIPPED (not now)*",
        ]
    )


def test_quiet_prints_letters(suite):
    result = run(suite, "-q", "-k", "test_passes or test_fails")
    assert any({*line.split("[")[0].strip()} == {".", "F"} for line in result.outlines)


def test_warnings_are_summed_up(suite):
    result = run(suite, "-k", "warns")
    result.stdout.fnmatch_lines(
        ["*warnings summary*", "test_suite.py::test_warns", "*UserWarning: careful now"]
    )


def test_durations_are_listed(suite):
    result = run(suite, "--durations=0", "-vv", "-k", "passes")
    result.stdout.fnmatch_lines(["*slowest durations*"])
    result.stdout.fnmatch_lines(["*s call *test_suite.py::test_passes"])


def test_output_goes_straight_through_with_s(suite):
    suite.makepyfile(test_loud="def test_loud(): print('straight through')")
    assert "straight through" in run(suite, "-s", "test_loud.py").stdout.str()


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["-k", "nothing_like_this"], pytest.ExitCode.NO_TESTS_COLLECTED),
        (["-k", "test_passes"], pytest.ExitCode.OK),
        (["no_such_file.py"], pytest.ExitCode.USAGE_ERROR),
        (["test_suite.py::no_such_test"], pytest.ExitCode.USAGE_ERROR),
        (["--no-such-option"], pytest.ExitCode.USAGE_ERROR),
    ],
)
def test_exit_codes_are_those_of_pytest(suite, args, status):
    assert run(suite, *args).ret == status


def test_collect_only_is_plain_pytest(suite):
    result = run(suite, "--co", "-q", "-k", "passes")
    assert "test_suite.py::test_passes" in result.outlines
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("args", [["--fixtures"], ["--markers"], ["--cache-show"], ["--version"]])
def test_what_only_shows_is_plain_pytest(suite, args):
    plain, packed = run(suite, *args, pack=False), run(suite, *args)
    assert packed.ret == plain.ret == pytest.ExitCode.OK
    assert "tonnage: " not in packed.stdout.str()


def test_a_collection_error_interrupts_as_in_pytest(suite):
    suite.makepyfile(test_broken="import no_such_module_anywhere")
    result = run(suite)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "*ERROR collecting test_broken.py*",
            "E   ModuleNotFoundError: No module named 'no_such_module_anywhere'",
            "*Interrupted: 1 error during collection*",
        ]
    )
    assert run(suite, "--continue-on-collection-errors", "-k", "passes").ret == 1


def test_the_first_failure_stops_the_run_with_x(pytester):
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("n", range(40))
        def test_fails(n): assert False
        """
    )
    result = run(pytester, "-x", "--slots", "1", "--isolation", "test")
    assert result.parseoutcomes() == {"failed": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    three = run(pytester, "--maxfail=3", "--slots", "1", "--isolation", "test")
    assert three.parseoutcomes() == {"failed": 3}


def test_last_failed_runs_what_failed(suite):
    run(suite, "-k", "test_passes or test_fails")
    result = run(suite, "--lf")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["run-last-failure: rerun previous 1 failure*"])


def test_new_first_knows_the_tests_of_the_last_run(pytester):
    pytester.makepyfile(test_old="def test_old(): pass")
    run(pytester)
    pytester.makepyfile(test_new="def test_new(): pass", test_a="def test_a(): pass")
    result = run(pytester, "--nf", "-v", "--slots", "1")
    lines = [line.split()[0] for line in result.outlines if "PASSED" in line]
    assert lines[-1] == "test_old.py::test_old"


def test_stepwise_stops_and_goes_on(pytester):
    pytester.makepyfile("def test_a(): pass\ndef test_b(): assert False\ndef test_c(): pass\n")
    first = run(pytester, "--sw", "--slots", "1", "--isolation", "test")
    assert first.ret == pytest.ExitCode.INTERRUPTED
    second = run(pytester, "--sw", "--slots", "1", "--isolation", "test")
    second.stdout.fnmatch_lines(["stepwise: skipping 1 already passed items*"])


def test_pytest_exit_in_a_test_ends_the_session_with_its_code(pytester):
    pytester.makepyfile(
        """
        import pytest
        def test_leaves(): pytest.exit("enough for today", returncode=7)
        """
    )
    result = run(pytester)
    assert result.ret == 7
    result.stdout.fnmatch_lines(["*Exit: enough for today*"])


def test_a_test_that_interrupts_the_session_is_the_last_of_its_process(pytester):
    pytester.makepyfile(
        """
        def test_leaves(): raise KeyboardInterrupt
        def test_waits(): pass
        """
    )
    result = run(pytester, "--slots", "1")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "test_waits" not in result.stdout.str()


def test_what_tests_add_to_the_junit_file_is_there(pytester):
    pytester.makepyfile(
        test_it="""
        def test_attribute(record_xml_attribute): record_xml_attribute("assertions", "7")
        def test_property(record_testsuite_property): record_testsuite_property("card", "L4")
        def test_again(record_testsuite_property): record_testsuite_property("card", "L4")
        """
    )
    pytester.makeini("[pytest]\njunit_family = xunit1\n")
    run(pytester, "--junitxml=plain.xml", pack=False)
    run(pytester, "--junitxml=packed.xml", "--isolation", "test")
    packed = (pytester.path / "packed.xml").read_text()
    for text in (packed, (pytester.path / "plain.xml").read_text()):
        assert 'assertions="7"' in text
        assert '<property name="card" value="L4"' in text
    assert packed.count("<property ") == 1


def test_xdists_n_only_sets_the_slots(suite):
    result = run(suite, "-n", "3", "-k", "passes", "--slots", "2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["tonnage: --pack runs the tests*"])
    assert "workers [" not in result.stdout.str()


@pytest.mark.parametrize("flag", ["--pdb", "--setup-show"])
def test_what_needs_one_process_is_plain_pytest_and_says_so(suite, flag):
    result = run(suite, flag, "-k", "test_passes")
    result.stdout.fnmatch_lines([f"tonnage: --pack is left aside: {flag}*"])
    assert result.parseoutcomes()["passed"] == 1


def test_conftest_hooks_see_the_reports(pytester):
    pytester.makepyfile("def test_a(): pass")
    pytester.makeconftest(
        """
        def pytest_runtest_logreport(report):
            if report.when == "call":
                with open("seen.txt", "a") as file:
                    file.write(report.nodeid + "\\n")
        """
    )
    run(pytester, "--isolation", "test")
    # Once where the session is reported and once in the test's own process, as with pytest-xdist.
    assert (
        pytester.path / "seen.txt"
    ).read_text() == "test_conftest_hooks_see_the_reports.py::test_a\n" * 2


def test_temporary_directories_do_not_collide(pytester):
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("n", range(8))
        def test_alone(tmp_path, n):
            assert list(tmp_path.iterdir()) == []
            (tmp_path / "mine").touch()
        """
    )
    assert run(pytester, "--isolation", "test").parseoutcomes() == {"passed": 8}
