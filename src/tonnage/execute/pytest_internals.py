"""Every private part of pytest that Tonnage touches, and nothing else.

Checked with pytest 8.0 to 9.2. A release that changes one of these breaks this module only.
"""

import io
import os
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import pytest
from _pytest._code.code import TerminalRepr
from _pytest.capture import FDCaptureBase
from _pytest.config import _prepareconfig
from _pytest.junitxml import bin_xml_escape, xml_key
from _pytest.skipping import evaluate_skip_marks
from _pytest.terminal import TerminalReporter

_failed_subtests: pytest.StashKey[Any] | None
try:
    from _pytest.subtests import failed_subtests_key as _failed_subtests
except ImportError:
    _failed_subtests = None  # pytest 8


def parse_command_line(args: list[str], plugins: list[Any]) -> pytest.Config:
    """A pytest config as `pytest ARGS` makes it, before it is configured."""
    return _prepareconfig(args, plugins)


def without_terminal(config: pytest.Config) -> None:
    """Have this process report nothing on the terminal; its options stay known.

    A reporter is there all the same, and writes nowhere: plugins and conftests write to it, and
    pytest 8.0 wants its writer to explain an assertion.
    """
    manager = config.pluginmanager
    if not manager.hasplugin("terminal"):
        return  # -p no:terminal
    # The last two would put another reporter in its place, and send what it wrote away.
    for name in ("terminal", "sugar", "pastebin"):
        module = manager.get_plugin(name)
        if module is not None:
            manager.unregister(module)
    manager.register(_SilentReporter(TerminalReporter(config, io.StringIO())), "terminalreporter")


class _SilentReporter:
    """A terminal reporter with all its attributes and none of its hooks."""

    def __init__(self, reporter: TerminalReporter) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)


def capture_into(config: pytest.Config, out_path: str, err_path: str) -> None:
    """Point pytest's own capture at this process's files instead of those it inherited.

    After a fork parent and child would write at one shared file offset. Named files also keep
    what was printed when the process crashes. With `-s` there is no capture and nothing to do.
    Call it while capture is suspended, as it is between tests.
    """
    manager = config.pluginmanager.getplugin("capturemanager")
    multi = None if manager is None else manager._global_capturing
    if multi is None:
        return
    for capture, path in ((multi.out, out_path), (multi.err, err_path)):
        if isinstance(capture, FDCaptureBase):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.dup2(fd, capture.tmpfile.fileno(), inheritable=False)
            os.close(fd)


def saved_by_capture(config: pytest.Config) -> Iterator[int]:
    """The descriptors of this session's real output, which its capture puts back at its end."""
    manager = config.pluginmanager.getplugin("capturemanager")
    multi = None if manager is None else manager._global_capturing
    for capture in () if multi is None else (multi.out, multi.err):
        if isinstance(capture, FDCaptureBase):
            yield capture.targetfd_save


def use_base_temp(config: pytest.Config, path: Path) -> None:
    """Have `tmp_path` and kin work below `path`, made when the first is asked for."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory._given_basetemp = path
        factory._basetemp = None


def base_temp(config: pytest.Config) -> Path | None:
    """The session's own base temporary directory; None with `-p no:tmpdir`."""
    factory = getattr(config, "_tmp_path_factory", None)
    return None if factory is None else cast(Path, factory.getbasetemp())


class XmlRecorder:
    """Stands for the JUnit writer where its file is not written: notes what tests add to it.

    It is what `record_xml_attribute` and `record_testsuite_property` look for, and its `family`
    what `record_property` warns by. `taken` gives (kind, name, value) and forgets them.
    """

    def __init__(self, family: str) -> None:
        self.family = "xunit1" if family == "legacy" else family
        self._noted: list[tuple[str, str, str]] = []

    def node_reporter(self, _: Any) -> "XmlRecorder":
        """The reporter of a test; there is one test at a time."""
        return self

    def add_attribute(self, name: str, value: object) -> None:
        """An attribute of the test in hand."""
        self._noted.append(("attribute", str(name), str(value)))

    def add_global_property(self, name: str, value: object) -> None:
        """A property of the whole suite."""
        self._noted.append(("property", str(name), str(value)))

    def taken(self) -> list[tuple[str, str, str]]:
        """What was noted since the last call."""
        noted, self._noted = self._noted, []
        return noted


def record_xml(config: pytest.Config) -> XmlRecorder | None:
    """Note what tests add to the JUnit file, if this session's controller writes one."""
    if not config.option.xmlpath:
        return None
    recorder = XmlRecorder(config.getini("junit_family"))
    config.stash[xml_key] = recorder  # type: ignore[misc]
    config.pluginmanager.register(recorder)
    return recorder


def add_to_xml(config: pytest.Config, report: Any, noted: list[tuple[str, str, str]]) -> None:
    """Add what a test noted to this session's JUnit file."""
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    for kind, name, value in noted:
        if kind == "attribute":
            xml.node_reporter(report).add_attribute(name, value)
        elif (name, value) not in xml.global_properties:
            xml.add_global_property(name, value)


def add_reruns_to_xml(config: pytest.Config, report: Any, reruns: Sequence[Any]) -> None:
    """Add a test's attempts that do not count to its JUnit element, in Surefire's form.

    After a pass they are flaky failures, after a failure reruns that failed as well. `report`: the
    test's last, not logged yet.
    """
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    node = xml.node_reporter(report)
    has_failed = any(child.tag in ("failure", "error") for child in node.nodes) or report.failed
    kind = "rerun" if has_failed else "flaky"
    for rerun in reruns:
        element = ET.Element(f"{kind}{'Failure' if rerun.when == 'call' else 'Error'}")
        element.set("message", bin_xml_escape(_first_line(rerun)))
        element.set("type", getattr(rerun, "tonnage_outcome", "rerun"))
        for tag, text in (
            ("stackTrace", rerun.longreprtext),
            ("system-out", rerun.capstdout),
            ("system-err", rerun.capstderr),
        ):
            if text:
                ET.SubElement(element, tag).text = bin_xml_escape(text)
        node.append(element)


def name_failure_in_xml(config: pytest.Config, report: Any, outcome: str) -> None:
    """Say in a JUnit failure what kind it is: `type="timeout"`. `report` has just been logged."""
    xml = config.stash.get(xml_key, None)
    if xml is None or not report.failed or report.when == "teardown":
        return
    for child in xml.node_reporter(report).nodes:
        if child.tag in ("failure", "error"):
            child.set("type", outcome)


def _first_line(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    return cast(str, text).strip().partition("\n")[0]


class Explanation(TerminalRepr):
    """A failure told in words instead of by a traceback."""

    def __init__(self, text: str, message: str | None = None) -> None:
        self._text = text
        self._message = text if message is None else message

    @property
    def reprcrash(self) -> "Explanation":
        """Where pytest 8 looks for what its short summary shows."""
        return self

    @property
    def message(self) -> str:
        """What the short summary says; the text, unless there is something shorter."""
        return self._message

    def toterminal(self, tw: Any) -> None:
        """Write it as pytest writes a failure."""
        tw.line(self._text)

    def __str__(self) -> str:
        return self._text


def fail_with_its_subtests(config: pytest.Config, report: Any) -> None:
    """Make a passed test whose subtests failed a failed one.

    pytest 9 does so when it asks for a report's status, by a count that is kept where the test ran.
    """
    if _failed_subtests is not None and config.stash.get(_failed_subtests, None):
        config.hook.pytest_report_teststatus(report=report, config=config)


def skips(item: pytest.Item) -> bool:
    """Whether the item's skip marks would skip it here and now."""
    try:
        return evaluate_skip_marks(item) is not None
    except (Exception, pytest.fail.Exception):
        return False  # a condition that cannot be evaluated is reported when the test runs


def case_ids(item: pytest.Item) -> list[str]:
    """The ids that make up the case of a parametrised test, one for each parametrisation."""
    callspec = getattr(item, "callspec", None)
    return [] if callspec is None else list(callspec._idlist)


def default_timeout_s(config: pytest.Config) -> float | None:
    """What pytest-timeout allows each test of this run, by option, variable or setting."""
    timeout = getattr(config, "_env_timeout", None)
    return timeout if isinstance(timeout, (int, float)) and timeout > 0 else None


def fixture_scope(item: pytest.Item, name: str) -> tuple[str, str]:
    """The scope of a fixture that the item uses, and the node id below which it is defined.

    Empty texts when it uses none of that name.
    """
    info = getattr(item, "_fixtureinfo", None)
    definitions = None if info is None else info.name2fixturedefs.get(name)
    if not definitions:
        return "", ""
    return definitions[-1].scope, definitions[-1].baseid


def has_shared_fixtures(session: pytest.Session) -> bool:
    """Whether a fixture is set up that outlives the test in hand."""
    # Every node's first finaliser is its own teardown.
    return any(len(finalisers) > 1 for finalisers, _ in session._setupstate.stack.values())


def tear_down_all(session: pytest.Session) -> None:
    """Tear down every fixture still set up, the session's too."""
    session._setupstate.teardown_exact(None)


def terminal(config: pytest.Config) -> TerminalReporter | None:
    """The terminal reporter, or None with `-p no:terminal`."""
    return cast("TerminalReporter | None", config.pluginmanager.get_plugin("terminalreporter"))


def begin_collection(reporter: TerminalReporter) -> None:
    """Say that collection goes on, as pytest does."""
    reporter.pytest_collection()


def collected(config: pytest.Config, count: int, lines: list[str]) -> None:
    """Show the line `collected N items`, and what other plugins said about the collection."""
    reporter = terminal(config)
    if reporter is None:
        return
    reporter._numcollected = count
    reporter.report_collect(final=True)
    if lines:
        reporter._write_report_lines_from_hooks([cast("str | list[str]", lines)])


def print_as_completed(reporter: TerminalReporter) -> None:
    """Tests end out of order: print outcomes alone, without the file they come from."""
    reporter.showfspath = False


def set_duration(reporter: TerminalReporter, seconds: float) -> None:
    """Have the last line say that the session took so long (pytest 8.0 counts from a number)."""
    if hasattr(reporter, "_session_start"):
        object.__setattr__(reporter._session_start, "perf_count", time.perf_counter() - seconds)
    else:
        vars(reporter)["_sessionstarttime"] = time.time() - seconds


def terminal_file(reporter: TerminalReporter) -> TextIOWrapper:
    """The stream the terminal reporter writes to."""
    return cast(TextIOWrapper, reporter._tw._file)


def redirect_terminal(reporter: TerminalReporter, file: Any) -> None:
    """Have the terminal reporter write to `file`."""
    reporter._tw._file = file


def remember_node_ids(config: pytest.Config, node_ids: list[str]) -> None:
    """Let `--nf` know next time which tests were there this time."""
    plugin = config.pluginmanager.get_plugin("nfplugin")
    if plugin is not None:
        plugin.cached_nodeids.update(node_ids)


def interpreter_flags() -> list[str]:
    """This interpreter's own options (-X, -W, -O ...), for another one."""
    return cast("list[str]", subprocess._args_from_interpreter_flags())  # type: ignore[attr-defined]
