"""`tonnage lint`: the answer of an earlier run where nothing has changed since, else a new run.

Imports next to nothing before it knows that there is something to do.
"""

import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence

from tonnage import __version__
from tonnage.lint.remembered import cache_directory, recall

_INTERRUPTED = 130


def lint(arguments: Sequence[str]) -> int:
    """Run `tonnage lint ARGUMENTS`: prints, and returns the exit code."""
    try:
        key = _key(arguments)
        answer = _remembered(arguments, key)
        if answer is None:
            from tonnage.cli.lint_run import run

            answer = run(arguments, key, has_colour=bool(key["colour"]))
            gc.freeze()  # the end of the process frees it all, and need not look for cycles
        return _say(str(answer["out"]), str(answer["err"]), int(str(answer["status"])))
    except KeyboardInterrupt:
        return _INTERRUPTED


def _key(arguments: Sequence[str]) -> dict[str, object]:
    """All that the answer depends on beside files."""
    return {
        "arguments": list(arguments),
        "version": __version__,
        "directory": os.getcwd(),
        "day": time.strftime("%Y-%m-%d"),
        "colour": _has_colour(),
    }


def _has_colour() -> bool:
    return (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def _remembered(arguments: Sequence[str], key: dict[str, object]) -> dict[str, object] | None:
    for place in _places(arguments):
        if answer := recall(place, key):
            return answer
    return None


def _places(arguments: Sequence[str]) -> Iterator[str]:
    """Where the answer may lie: the project's root is above this directory or an argument."""
    tried = set()
    for start in (".", *(argument for argument in arguments if argument[:1] != "-")):
        place = os.path.abspath(start)
        while place not in tried:
            tried.add(place)
            yield cache_directory(place)
            place = os.path.dirname(place)


def _say(out: str, err: str, status: int) -> int:
    """Print; a reader that went away is no mistake of anybody's."""
    for stream, text in ((sys.stderr, err), (sys.stdout, out)):
        try:
            # A file name may hold what no encoding can say.
            data = text.encode(stream.encoding or "utf-8", "backslashreplace")
            stream.flush()
            stream.buffer.write(data)
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status
