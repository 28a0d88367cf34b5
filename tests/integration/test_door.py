"""Installed and unused, the plugin changes nothing."""

import subprocess
import sys

import pytest
from tests.packed import run

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]

OURS = [
    "--pack",
    "--slots",
    "--isolation",
    "--gpus",
    "--undeclared",
    "--pack-trace",
    "--pack-rerun",
    "--max-vram-gib",
    "--stage",
    "--fits",
    "--dry-run",
]


def test_loading_it_imports_nothing_of_ours():
    code = (
        "import sys, tonnage.plugin.entry;"
        "print(sorted(name for name in sys.modules if name.startswith('tonnage')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['tonnage', 'tonnage.plugin', 'tonnage.plugin.entry']"


def test_an_ordinary_run_imports_nothing_of_ours(pytester):
    pytester.makepyfile(
        """
        import sys
        def test_it():
            ours = {name for name in sys.modules if name.startswith("tonnage")}
            assert ours == {"tonnage", "tonnage.plugin", "tonnage.plugin.entry"}
        """
    )
    assert run(pytester, pack=False).parseoutcomes() == {"passed": 1}


@pytest.mark.parametrize("name", OURS)
def test_a_conftests_option_of_the_same_name_wins(pytester, name):
    dest = name[2:].replace("-", "_")
    is_flag = name in ("--pack", "--fits", "--dry-run")
    action = "action='store_const', const='theirs'" if is_flag else "action='store'"
    pytester.makeconftest(
        f"""
        def pytest_addoption(parser):
            parser.addoption("{name}", {action}, default="unset")
        """
    )
    pytester.makepyfile(
        f"""
        def test_it(request):
            assert request.config.getoption("{dest}") == "theirs"
        """
    )
    given = name if is_flag else f"{name}=theirs"
    assert run(pytester, given, pack=False).parseoutcomes() == {"passed": 1}


def test_a_plugins_group_may_have_an_option_of_the_same_name(pytester):
    pytester.makepyfile(
        theirs="""
        def pytest_addoption(parser):
            group = parser.getgroup("theirs")
            group.addoption("--gpus", dest="their_gpus", default="none of yours")
        """,
        test_it="""
        def test_it(request):
            assert request.config.getoption("their_gpus") == "4"
        """,
    )
    pytester.syspathinsert()
    result = run(pytester, "-p", "theirs", "--gpus=4", pack=False)
    assert result.parseoutcomes() == {"passed": 1}


def test_options_that_are_left_still_work_beside_theirs(pytester):
    pytester.makeconftest(
        """
        def pytest_addoption(parser):
            parser.addoption("--stage", default="theirs")
        """
    )
    pytester.makepyfile("def test_it(): pass")
    result = run(pytester, "--stage=anything")
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["tonnage: *"])


def test_our_markers_are_known_to_strict_markers(pytester):
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.needs(gpus=1, vram_gib=2)
        @pytest.mark.max_vram_gib(2)
        def test_it(): pass
        """
    )
    assert run(pytester, "--strict-markers", pack=False).parseoutcomes() == {"passed": 1}


def test_the_vocabulary_is_known_where_the_project_configures_it(pytester):
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.nightly
        @pytest.mark.gpu_2
        def test_it(): pass
        """
    )
    without = run(pytester, "--strict-markers", pack=False)
    assert without.ret == pytest.ExitCode.INTERRUPTED
    pytester.makepyprojecttoml("[tool.tonnage]\n")
    assert run(pytester, "--strict-markers", pack=False).parseoutcomes() == {"passed": 1}
    assert "@pytest.mark.nightly" in run(pytester, "--markers", pack=False).stdout.str()


def test_the_minimal_markers_are_those_of_the_preset():
    from tonnage.markers.presets import PRESETS
    from tonnage.plugin import entry

    assert set(entry._MINIMAL_MARKERS) == set(PRESETS["minimal"].pytest_lines())


def test_it_can_be_switched_off(pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS")  # which asks for it
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    pytester.makepyfile("def test_it(): pass")
    assert run(pytester, "-p", "no:tonnage", pack=False).parseoutcomes() == {"passed": 1}
    assert run(pytester, "-p", "no:tonnage").ret == pytest.ExitCode.USAGE_ERROR


def test_a_test_process_is_free_of_what_only_the_controller_needs(pytester):
    pytester.makepyfile(
        """
        import sys
        def test_it():
            heavy = {"pydantic", "rich", "typer", "psutil", "pynvml"}
            assert heavy.isdisjoint(sys.modules)
        """
    )
    pytester.makepyprojecttoml("[tool.tonnage]\n")
    assert run(pytester, "--max-vram-gib", "8").parseoutcomes() == {"passed": 1}
