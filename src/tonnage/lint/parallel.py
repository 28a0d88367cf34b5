"""Doing a share of the work in each CPU, in forked processes: nothing is imported twice.

What a share gives is sent back as JSON, so it must be made of what JSON can say.
"""

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class ShareError(RuntimeError):
    """A process that worked on a share ended without a result; the text says how."""


def map_shares(
    work: Callable[[Sequence[Item]], Result], items: Sequence[Item], sizes: Sequence[int], jobs: int
) -> list[Result]:
    """The results of `work` on up to `jobs` shares of the items, of about equal size, in order.

    The last share is worked on here. Every process started has ended when this returns or raises.
    With one share, or where there is no fork, nothing is started.
    """
    shares = split(items, sizes, jobs if hasattr(os, "fork") else 1)
    if len(shares) <= 1:
        return [work(share) for share in shares]
    gc.freeze()  # what is there already stays shared with the children
    children: dict[int, int] = {}
    texts = []
    try:
        for share in shares[:-1]:
            pid, reading_end = _start(work, share)
            children[pid] = reading_end
        own = work(shares[-1])
        while children:
            pid = next(iter(children))
            texts.append(_finish(pid, children[pid]))
            del children[pid]
    except BaseException:
        for pid in children:
            _end(pid)
        raise
    finally:
        gc.unfreeze()
    if any(text is None for text in texts):
        raise ShareError("a process of the reading ended early; see above")
    return [*(json.loads(text) for text in texts if text is not None), own]


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


def _start(work: Callable[[Sequence[Item]], Result], share: Sequence[Item]) -> tuple[int, int]:
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
        text = json.dumps(work(share)).encode()
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


def _finish(pid: int, reading_end: int) -> bytes | None:
    with os.fdopen(reading_end, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    return text if status == 0 else None


def _end(pid: int) -> None:
    """End a child whose result nobody wants any more."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it had ended, and was waited for
