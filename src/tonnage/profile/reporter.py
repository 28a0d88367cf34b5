"""The pytest plugin inside a probe: says what becomes of the test, line by line, to the profiler.

It works in the probe's process, beside a suite that may do anything: it imports little, writes
each line at once into a file that is already open, and never raises.
"""

import contextlib
import faulthandler
import json
import os
import sys
import time
from collections.abc import Generator
from typing import Any

import pytest

from tonnage.execute.child import DUMP_SIGNAL
from tonnage.execute.family import adopt_orphans, die_with_parent

# The descriptor of the file to write to, the pid of the process that started this one, and the
# path of the file that its output goes to.
REPORT_VARIABLE = "TONNAGE_PROBE_REPORT"
_TEXT_LIMIT = 20_000
_BYTES_PER_MIB = 1024 * 1024


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Take part in a process that a profiler started: before any code of the suite runs."""
    descriptor, parent, output = os.environ.pop(REPORT_VARIABLE).split(",", 2)
    os.set_inheritable(int(descriptor), False)
    die_with_parent(int(parent))
    adopt_orphans()
    # By its path: pytest's capture stands between us and the descriptors already.
    stacks = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    faulthandler.register(DUMP_SIGNAL, file=stacks, all_threads=True)
    early_config.pluginmanager.register(_Reporter(int(descriptor)), "tonnage-probe-reporter")


class _Reporter:
    """Writes one JSON object a line: `kind` says what it is about."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pid = os.getpid()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, object, object]:
        """Keep the test in this process, whatever the project's own options say."""
        for name, off in (
            ("tonnage_pack", None),
            ("tonnage_dry_run", None),
            ("numprocesses", None),
            ("dist", "no"),
            ("tx", []),
        ):
            if hasattr(config.option, name):
                setattr(config.option, name, off)
        return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected is the reason for everything that follows."""
        if report.failed:
            self._write("collect_failed", text=str(report.longrepr)[-_TEXT_LIMIT:])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """A probe runs one test; with more of them there is nothing to be learned."""
        self._write("collected", tests=[item.nodeid for item in items[:4]], count=len(items))
        if len(items) > 1:
            items.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """One line for each phase of the test."""
        report = yield
        text = ""
        if report.failed or report.skipped:
            text = "" if call.excinfo is None else str(call.excinfo.value)
        sections = "\n".join(section for _, section in report.sections) if report.failed else ""
        self._write(
            "phase",
            when=report.when,
            outcome=report.outcome,
            wasxfail=hasattr(report, "wasxfail"),
            duration_s=report.duration,
            at_s=time.monotonic(),
            type=call.excinfo.typename if call.excinfo is not None else "",
            text=text[:_TEXT_LIMIT],
            output=sections[-_TEXT_LIMIT:],
            counted_mib=counted_mib() if report.when == "teardown" else None,
        )
        return report

    def _write(self, kind: str, **content: Any) -> None:
        if os.getpid() == self._pid:
            line = json.dumps({"kind": kind, **content}, default=str) + "\n"
            with contextlib.suppress(OSError):
                os.write(self._descriptor, line.encode(errors="replace"))


def counted_mib() -> int | None:
    """The most that torch itself reserved on one GPU in this process; None without torch."""
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return None
        devices = range(torch.cuda.device_count())
        reserved = max((torch.cuda.max_memory_reserved(device) for device in devices), default=0)
    except Exception:
        return None  # a test may leave a framework, or its stand-in, in any state
    return int(reserved) // _BYTES_PER_MIB
