"""A test process that is a new interpreter: for tests whose imports make forking unsafe.

It collects the one file its tests are in, then does what a forked test process does.
"""

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from tonnage.execute import messages
from tonnage.execute.child import Places, become_test_process
from tonnage.execute.family import die_with_parent
from tonnage.execute.frames import FrameSocket
from tonnage.execute.relay import Relay
from tonnage.execute.zygote import prepare


def main(fd: int, order: str) -> int:
    """Run the unit that the JSON file `order` describes, reporting to socket `fd`."""
    opening_data, parent, start_data = json.loads(Path(order).read_text(encoding="utf-8"))
    opening = messages.from_json(opening_data)
    start = messages.from_json(start_data)
    assert isinstance(opening, messages.OpenSession)
    assert isinstance(start, messages.StartProcess)
    os.setsid()
    die_with_parent(parent)
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    FrameSocket(sock).send(messages.to_json(messages.ProcessStarted(os.getpid())))
    relay = Relay()
    unit = _FreshUnit(opening, start, relay, sock, parent)
    config = prepare(opening, [relay, unit])
    assert start.fresh is not None
    config.args = [start.fresh.path]
    return int(config.hook.pytest_cmdline_main(config=config) or 0)


class _FreshUnit:
    """The plugin that runs one unit in this session's run loop."""

    def __init__(
        self,
        opening: messages.OpenSession,
        start: messages.StartProcess,
        relay: Relay,
        sock: socket.socket,
        parent: int,
    ) -> None:
        self._opening = opening
        self._start = start
        self._relay = relay
        self._sock = sock
        self._parent = parent

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        start, opening = self._start, self._opening
        assert start.fresh is not None
        by_node_id = {item.nodeid: item for item in session.items}
        missing = [node_id for node_id in start.fresh.node_ids if node_id not in by_node_id]
        if missing:
            # Ends the process: the supervisor reports its last words with the test.
            print(f"a new interpreter does not collect {missing[0]} again", file=sys.__stderr__)
            os._exit(1)
        items = dict(
            zip(start.tests, map(by_node_id.__getitem__, start.fresh.node_ids), strict=True)
        )
        places = Places.of(opening, start.unit, start.lane)
        become_test_process(
            session, items.__getitem__, self._relay, self._sock, start, places, self._parent
        )
