"""A test process: from the fork to its exit.

It takes tests one by one from its socket, runs each through pytest's own protocol and streams
every phase's report back at once. One test or many, the loop is the same: pytest wants to know
the next test while it tears one down, so the last test in hand waits until it is known whether
another follows.
"""

import faulthandler
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tonnage.execute import handover, messages, pytest_internals
from tonnage.execute.family import adopt_orphans, die_with_parent, prefer_for_oom_kill
from tonnage.execute.frames import FrameSocket
from tonnage.execute.gpu_use import never_used_a_gpu
from tonnage.execute.keeper import kept
from tonnage.execute.relay import TIMED_OUT, TIMEOUT, Relay
from tonnage.execute.torch_cap import cap_torch

# The supervisor's request for the stacks of all threads. A real-time signal: no test uses it.
DUMP_SIGNAL = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
# Ask for more tests when this many are left unstarted, so that the answer is there in time.
_HUNGRY_AT = 1


@dataclass(frozen=True, slots=True)
class Places:
    """Where one unit keeps what it writes: its output, its stacks, its temporary directories.

    Files go by the lane, which no other living unit has, and are overwritten by its next one:
    making and deleting thousands of files costs more than the tests that would fill them.
    """

    out: str
    err: str
    stacks: str
    base_temp: str

    @classmethod
    def of(cls, opening: messages.OpenSession, unit: int, lane: int) -> "Places":
        """The places of a unit."""
        stem = f"{opening.run_directory}/{lane}"
        return cls(f"{stem}.out", f"{stem}.err", f"{stem}.stacks", f"{opening.base_temp}/u{unit}")


def become_test_process(
    session: pytest.Session,
    item_of: Callable[[int], pytest.Item],
    relay: Relay,
    sock: socket.socket,
    start: messages.StartProcess,
    places: Places,
    parent: int,
) -> NoReturn:
    """Turn this freshly made process into the unit `start` describes, run it, and exit.

    `item_of` gives the collected test of each index in `start`.
    """
    status = 1
    try:
        die_with_parent(parent)
        adopt_orphans()
        prefer_for_oom_kill()
        os.environ.update(start.environment)
        cap_torch()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            stacks = os.open(places.stacks, flags, 0o600)
        except FileNotFoundError:  # somebody cleans temporary directories while tests run
            Path(places.stacks).parent.mkdir(mode=0o700, parents=True)
            stacks = os.open(places.stacks, flags, 0o600)
        faulthandler.enable(file=stacks)
        faulthandler.register(DUMP_SIGNAL, file=stacks, all_threads=True)
        pytest_internals.capture_into(session.config, places.out, places.err)
        pytest_internals.use_base_temp(session.config, Path(places.base_temp))
        _name_worker(session.config, start.lane)
        handover.take_up(session.config)
        channel = FrameSocket(sock)
        if start.fresh is None:  # a new interpreter has said so when it began
            channel.send(messages.to_json(messages.ProcessStarted(os.getpid())))
        _Runner(session, item_of, relay, channel, start).run()
        status = 0
    except ConnectionError:
        status = 0  # the controller is gone; there is nobody to report to
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            handover.save_coverage()
        finally:
            _flush()
            os._exit(status)


def _name_worker(config: pytest.Config, lane: int) -> None:
    """Have suites that keep parallel processes apart by pytest-xdist's names do so here."""
    worker_input = config.workerinput  # type: ignore[attr-defined]
    worker_input["workerid"] = os.environ["PYTEST_XDIST_WORKER"] = f"gw{lane}"


class _Runner:
    """The loop of one test process."""

    def __init__(
        self,
        session: pytest.Session,
        item_of: Callable[[int], pytest.Item],
        relay: Relay,
        channel: FrameSocket,
        start: messages.StartProcess,
    ) -> None:
        self._session = session
        self._item_of = item_of
        self._relay = relay
        self._channel = channel
        self._queue: deque[int] = deque(start.tests)
        self._last = start.last
        self._attempt = str(start.attempt)
        self._on_gpu = start.on_gpu
        self._is_batch = start.last and len(start.tests) > 1
        self._asked = False
        self._pid = os.getpid()
        # pytest-timeout reads the same marker and knows more ways of stopping a test.
        self._own_deadline = not session.config.pluginmanager.hasplugin("timeout")
        relay.sink = self._send

    def run(self) -> None:
        while self._another():
            self._run_one(self._queue.popleft())
        pytest_internals.tear_down_all(self._session)
        output = handover.hand_over(self._session)
        if output is not None:
            self._send(messages.HandedOver(output))

    def _another(self) -> bool:
        """Wait until there is a test to run whose successor, if any, is known."""
        while not self._last and len(self._queue) < 2:
            self._ask()
            self._take(block=True)
        if len(self._queue) > 1 or (self._queue and self._is_batch):
            self._take(block=False)
        return bool(self._queue)

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._send(messages.Hungry())

    def _take(self, *, block: bool) -> None:
        """Read what the controller sent. Its silence ends the process: nobody listens any more."""
        self._channel.sock.setblocking(block)
        values, closed = self._channel.receive()
        self._channel.sock.setblocking(True)
        for value in values:
            message = messages.from_json(value)
            assert isinstance(message, messages.MoreTests)
            self._asked = False
            self._last = message.last
            if message.drop:
                self._forget_queue()
            self._queue.extend(message.tests)
        if closed:
            raise ConnectionResetError

    def _run_one(self, test: int) -> None:
        item = self._item_of(test)
        following = self._item_of(self._queue[0]) if self._queue else None
        self._send(messages.TestBegan(test, time.monotonic()))
        if not self._last and len(self._queue) <= _HUNGRY_AT:
            self._ask()
        self._relay.begin(test)
        # Whoever accounts for memory or files can tell by these who is asking.
        os.environ["TONNAGE_TEST"] = item.nodeid.replace("\0", "(null)")
        os.environ["TONNAGE_ATTEMPT"] = self._attempt
        stop: str | None = None
        exits = False
        exit_status: int | None = None
        try:
            with self._fixtures_kept(), self._soft_deadline(item):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except pytest.fail.Exception as error:
            # The deadline struck between two phases, where no report can carry it.
            print(error, file=sys.__stderr__)
        except (KeyboardInterrupt, SystemExit) as error:
            stop, exits = f"{type(error).__name__} in {item.nodeid}", True
        except pytest.exit.Exception as error:
            stop, exits, exit_status = error.msg, True, error.returncode
        if os.getpid() != self._pid:
            # The test forked and its child returned into pytest: one set of reports is enough.
            os._exit(0)
        self._relay.restore_directory()
        if self._session.shouldstop and not exits:
            stop = str(self._session.shouldstop)
        without_gpu = self._on_gpu and never_used_a_gpu()
        self._send(
            messages.TestEnded(test, time.monotonic(), stop, exits, exit_status, without_gpu)
        )
        # The test has ended the session, or enough have failed here alone: the rest is not wanted.
        if exits or self._session.shouldfail:
            self._forget_queue()

    def _forget_queue(self) -> None:
        self._last = True
        self._send(messages.Dropped(list(self._queue)))
        self._queue.clear()

    def _fixtures_kept(self) -> AbstractContextManager[None]:
        """What earlier tests of a batch have set up is torn down even if this test crashes."""
        if self._is_batch and pytest_internals.has_shared_fixtures(self._session):
            return kept(self._tear_down_in_keeper)
        return nullcontext()

    def _tear_down_in_keeper(self) -> None:
        self._channel.close()
        self._relay.sink = None
        pytest_internals.tear_down_all(self._session)

    @contextmanager
    def _soft_deadline(self, item: pytest.Item) -> Iterator[None]:
        """Raise inside the test when its declared time is over, so that its stack is shown."""
        timeout_s = item.stash.get(TIMEOUT, None)
        if timeout_s is None or not self._own_deadline:
            yield
            return

        def over(*_: Any) -> None:
            __tracebackhide__ = True
            item.stash[TIMED_OUT] = True
            pytest.fail(f"timeout: ran longer than its declared {timeout_s:g} s")

        before = signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _send(self, message: messages.Message) -> None:
        if os.getpid() == self._pid:  # a fork of this process must not write into its stream
            self._channel.send(messages.to_json(message))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
