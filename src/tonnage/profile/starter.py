"""The process between the profiler and one probe: starts it, ends it, and ends what it left behind.

A process of its own, because whatever a test starts must end even when the profiler is killed,
and because only a parent may collect what moves up to it (execute.supervision).
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tonnage.execute import messages
from tonnage.execute.family import adopt_orphans
from tonnage.execute.frames import FrameSocket
from tonnage.execute.supervision import Supervisor
from tonnage.profile.reporter import REPORT_VARIABLE


def main(descriptor: int, order: str) -> int:
    """Serve the profiler at a socket; `order` is JSON: the probe's arguments, directory, output."""
    arguments, directory, output = json.loads(order)
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    channel = FrameSocket(sock)
    adopt_orphans()

    def start(message: messages.StartProcess, report: int) -> int:
        with Path(output).open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *arguments],
                cwd=directory,
                env={
                    **os.environ,
                    **message.environment,
                    REPORT_VARIABLE: f"{report},{os.getpid()},{output}",
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=[report],
                start_new_session=True,
            )
        # Its end is the supervisor's to collect.
        process.returncode = 0
        channel.send(messages.to_json(messages.ProcessStarted(process.pid)))
        return process.pid

    Supervisor(channel, start, lambda _: output).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
