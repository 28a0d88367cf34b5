"""The zygote: one process that collects the suite once and forks every test process from there.

It is an ordinary pytest session whose run loop starts processes instead of running tests. It stays
single-threaded and keeps away from the GPU; what a test module did while being imported decides
whether forking is safe (devices.fork_safety), and the file that spoiled it is named.
"""

import gc
import json
import os
import shutil
import socket
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tonnage.devices.fork_safety import current_hazards
from tonnage.execute import messages, pytest_internals
from tonnage.execute.cgroup import leave_and_remove
from tonnage.execute.child import Places, become_test_process
from tonnage.execute.collected import collected_tests
from tonnage.execute.family import adopt_orphans, die_with_parent
from tonnage.execute.frames import FrameSocket
from tonnage.execute.launch import command
from tonnage.execute.plain_data import from_text, to_text
from tonnage.execute.relay import Relay
from tonnage.execute.settled import SAID, SETTLED, Settled
from tonnage.execute.supervision import Supervisor


def main(fd: int, parent: str) -> int:
    """Run the session that an OpenSession on socket `fd` describes; `parent` sends it (a pid)."""
    die_with_parent(int(parent))
    adopt_orphans()
    channel = FrameSocket(socket.socket(fileno=fd))
    received: list[object] = []
    while not received:
        received, closed = channel.receive()
        if closed:
            return 0  # it was not needed after all
    opening = messages.from_json(received[0])
    assert isinstance(opening, messages.OpenSession)
    os.environ.update(opening.environment)

    relay = Relay()
    zygote = Zygote(opening, channel, relay)
    relay.sink = zygote.send
    try:
        config = prepare(opening, [relay, zygote])
        status = int(config.hook.pytest_cmdline_main(config=config) or 0)
    except pytest.UsageError as error:
        usage_errors = [str(line) for line in error.args]
        zygote.send(
            messages.SessionEnded(int(pytest.ExitCode.USAGE_ERROR), usage_errors=usage_errors)
        )
        return int(pytest.ExitCode.USAGE_ERROR)
    zygote.send(
        messages.SessionEnded(
            status,
            zygote.internal_error,
            stop_reason=zygote.stop_reason,
            worker_output=to_text(config.workeroutput),  # type: ignore[attr-defined]
        )
    )
    return status


def prepare(opening: messages.OpenSession, plugins: list[Any]) -> pytest.Config:
    """The config of a session that reports to a controller, as an xdist worker's would be."""
    os.chdir(opening.directory)
    sys.argv[:] = opening.argv
    config = pytest_internals.parse_command_line(opening.args, plugins)
    pytest_internals.without_terminal(config)
    config.stash[SETTLED] = Settled.from_json(opening.settled)
    # Plugins that write one file per session (junitxml, the cache, ...) know by this attribute
    # that another process writes it.
    config.workerinput = from_text(opening.worker_input)  # type: ignore[attr-defined]
    config.workeroutput = {}  # type: ignore[attr-defined]
    return config


class Zygote:
    """The plugin that makes a pytest session the zygote."""

    def __init__(self, opening: messages.OpenSession, channel: FrameSocket, relay: Relay) -> None:
        self._opening = opening
        self._channel = channel
        self._relay = relay
        self._supervisor = Supervisor(channel, self._start, self._stacks_of)
        self._session: pytest.Session | None = None
        self._hazards: dict[str, list[str]] = {}
        self._seen_hazards: set[str] = set()
        self.internal_error: str | None = None
        self.stop_reason: str | None = None

    def send(self, message: messages.Message) -> None:
        """Tell the controller; without one there is nothing left to do here."""
        try:
            self._channel.send(messages.to_json(message))
        except OSError:
            os._exit(1)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        # Configured, plugins are told that they work for another process, by variable too.
        worker_input = session.config.workerinput  # type: ignore[attr-defined]
        os.environ["PYTEST_XDIST_WORKER"] = "gw0"
        os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(worker_input["workercount"])
        os.environ["PYTEST_XDIST_TESTRUNUID"] = worker_input["testrunuid"]
        base_temp = Path(self._opening.base_temp)
        pytest_internals.use_base_temp(session.config, base_temp / "collection")
        self._look_for_hazards("conftest.py and plugins")

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, Any, Any]:
        collectors: list[pytest.Collector] = yield
        reason = self._opening.refused.get(str(file_path))
        if reason is not None and collectors:
            return [_RefusedFile.from_parent(parent, path=file_path, reason=reason)]
        return [] if str(file_path) in self._opening.excluded else collectors

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.File):
            self.send(messages.Collecting(str(collector.path)))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        report = yield
        if isinstance(collector, pytest.File):
            self._look_for_hazards(str(collector.path))
        return report

    def _look_for_hazards(self, path: str) -> None:
        for hazard in current_hazards():
            # The number of threads is part of the text: more of them are news.
            if hazard not in self._seen_hazards:
                self._seen_hazards.add(hazard)
                self._hazards.setdefault(path, []).append(hazard)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        tests = collected_tests(session)
        lines = _report_lines(session)
        said = session.config.stash.get(SAID, {})
        hazards = current_hazards()
        if not hazards:  # a thread of an import that is over again spoils nothing
            self._hazards.clear()
        elif not self._hazards:
            self._hazards[""] = list(hazards)
        self.send(messages.CollectionFinished(tests, lines, self._hazards, said))
        # From here on the end of the socket says that the controller is gone, and then there is
        # a run to clean up after.
        die_with_parent(self._opening.parent, 0)
        gc.collect()
        gc.freeze()
        self._session = session
        end = self._supervisor.serve()
        if end is None:
            for path in self._opening.cleanup:
                shutil.rmtree(path, ignore_errors=True)
            leave_and_remove(os.environ["TONNAGE_RUN"])
            os._exit(1)
        session.testsfailed = int(end.exit_status == pytest.ExitCode.TESTS_FAILED)
        return True

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.internal_error = str(excrepr)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.stop_reason = str(excinfo.value) or excinfo.typename

    def _stacks_of(self, start: messages.StartProcess) -> str:
        return Places.of(self._opening, start.unit, start.lane).stacks

    def _start(self, start: messages.StartProcess, fd: int) -> int:
        """Make the process of a unit; its pid."""
        session = self._session
        assert session is not None
        if start.fresh is not None:
            return self._spawn(start, fd)
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        os.setsid()
        self._supervisor.leave()
        self._relay.sink = None
        places = Places.of(self._opening, start.unit, start.lane)
        sock = socket.socket(fileno=fd)
        item_of = session.items.__getitem__
        return become_test_process(session, item_of, self._relay, sock, start, places, parent)

    def _spawn(self, start: messages.StartProcess, fd: int) -> int:
        """A new interpreter for the unit: what the parent's imports did does not reach it."""
        order = Path(self._opening.run_directory) / f"{start.unit}.start"
        order.write_text(
            json.dumps([messages.to_json(self._opening), os.getpid(), messages.to_json(start)]),
            encoding="utf-8",
        )
        os.set_inheritable(fd, True)
        argv = command("fresh", fd, str(order))
        return os.posix_spawn(sys.executable, argv, {**os.environ, **start.environment})


class _RefusedFile(pytest.File):
    """A file that is reported as a collection error instead of being imported."""

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._reason = reason

    def collect(self) -> Sequence[pytest.Item]:
        raise self.CollectError(self._reason)


def _report_lines(session: pytest.Session) -> list[str]:
    """What plugins have to say about the finished collection, as the terminal would show it."""
    config = session.config
    said = config.hook.pytest_report_collectionfinish(
        config=config, start_path=config.invocation_params.dir, items=session.items
    )
    lines: list[str] = []
    for part in reversed(said):
        lines.extend([part] if isinstance(part, str) else part)
    return lines
