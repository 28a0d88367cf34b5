"""Doing shares of the work in each CPU, in forked processes: nothing is imported twice.

There are several shares for each process, which takes the next when it has done one: so all end at
about the same time, however busy the CPUs are besides. What a share gives is sent back as JSON, so
it must be made of what JSON can say.
"""

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from tonnage.errors import TonnageError

Item = TypeVar("Item")
Result = TypeVar("Result")
End = TypeVar("End")

_SHARES_PER_PROCESS = 8
_MOST_SHARES = 256  # a byte says which


class ShareError(TonnageError):
    """A process that worked on shares ended without a result."""


def map_shares(
    work: Callable[[Sequence[Item]], Result],
    end: Callable[[], End],
    items: Sequence[Item],
    sizes: Sequence[int],
    jobs: int,
) -> tuple[list[Result], list[End]]:
    """The results of `work` on shares of the items, in order, and of `end` in each process.

    Up to `jobs` processes work, this one among them. Every process started has ended when this
    returns or raises. With one job, or where there is no fork, nothing is started.
    """
    if jobs <= 1 or len(items) <= 1 or not hasattr(os, "fork"):
        return [work(items)], [end()]
    shares = split(items, sizes, min(jobs * _SHARES_PER_PROCESS, _MOST_SHARES))
    crew = _Crew(work, end, shares)
    gc.freeze()  # what is there already stays shared with the children
    children: dict[int, int] = {}
    parts = []
    try:
        for _ in range(min(jobs, len(shares)) - 1):
            pid, reading_end = _start(crew)
            children[pid] = reading_end
        parts.append(crew.run())
        while children:
            pid = next(iter(children))
            text, status = _wait(pid, children[pid])
            del children[pid]
            parts.append(_done(text, status))
    except BaseException:
        for pid in children:
            _end(pid)
        raise
    finally:
        gc.unfreeze()
        crew.close()
    results = sorted((done for part in parts for done in part["done"]), key=lambda done: done[0])
    return [result for _, result in results], [part["end"] for part in parts]


class _Crew(Generic[Item, Result, End]):
    """What all processes work on. The number of each share waits in a pipe, to be taken once."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Result],
        end: Callable[[], End],
        shares: Sequence[Sequence[Item]],
    ) -> None:
        self._work = work
        self._end = end
        self._shares = shares
        self._numbers, writing_end = os.pipe()
        os.write(writing_end, bytes(range(len(shares))))
        os.close(writing_end)

    def run(self) -> dict[str, Any]:
        """Work until no share is left."""
        done = [(number, self._work(self._shares[number])) for number in self._taken()]
        return {"done": done, "end": self._end()}

    def _taken(self) -> Iterator[int]:
        while number := os.read(self._numbers, 1):
            yield number[0]

    def close(self) -> None:
        """Leave no file descriptor behind."""
        os.close(self._numbers)


def split(items: Sequence[Item], sizes: Sequence[int], shares: int) -> list[Sequence[Item]]:
    """Consecutive shares of about equal size, at most so many, none of them empty."""
    total = sum(sizes)
    parts: list[list[Item]] = [[]]
    done = 0
    for item, size in zip(items, sizes, strict=True):
        if parts[-1] and len(parts) < shares and done * shares >= total * len(parts):
            parts.append([])
        parts[-1].append(item)
        done += size
    return [part for part in parts if part]


def _start(crew: _Crew[Any, Any, Any]) -> tuple[int, int]:
    reading_end, writing_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing_end)
        return pid, reading_end
    status = 1
    try:
        os.close(reading_end)
        text = json.dumps(crew.run()).encode()
        with os.fdopen(writing_end, "wb") as pipe:
            pipe.write(text)
        status = 0
    except BrokenPipeError:
        pass  # the parent gave up
    except KeyboardInterrupt:
        pass  # the parent says so
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _wait(pid: int, reading_end: int) -> tuple[bytes, int]:
    """What a child has written, and the status it ended with."""
    with os.fdopen(reading_end, "rb") as pipe:
        text = pipe.read()
    return text, os.waitpid(pid, 0)[1]


def _done(text: bytes, status: int) -> dict[str, Any]:
    """What a child has done. Raises ShareError where it has ended early."""
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        raise ShareError(
            f"a process that read files was ended by {name}",
            where="tonnage lint",
            remedy="Where memory is short, --jobs 1 needs the least.",
        )
    if status:
        raise ShareError("a process that read files failed; see above", where="tonnage lint")
    done: dict[str, Any] = json.loads(text)
    return done


def _end(pid: int) -> None:
    """End a child whose result nobody wants any more."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it had ended, and was waited for
