"""The last results of `tonnage lint`, given again as long as nothing they depend on has changed.

This is what makes a second run take a tenth of the first: a result is found by the arguments it
came from, and is good while every file and directory that was looked at still has the size and
times it had. Imports next to nothing, because here the start of Python is most of the time.
"""

import json
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterable, Mapping

_FORMAT = 1
_KEPT = 8  # results of so many different command lines

# Other tools' names, which come and go in directories and change nothing for lint.
_OF_NO_INTEREST = frozenset(
    {
        "__pycache__",
        ".git",
        ".hypothesis",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tonnage",
    }
)
# File systems count time in steps of up to 10 ms, and behind the clock.
_STEP_NS = 20_000_000

Stamp = tuple[int, ...]


def cache_directory(root: str) -> str:
    """Where lint keeps what it has found out: $TONNAGE_CACHE/lint, else .tonnage/cache/lint."""
    given = os.environ.get("TONNAGE_CACHE")
    return os.path.join(given or os.path.join(root, ".tonnage", "cache"), "lint")


def stamp_of(path: str) -> Stamp | None:
    """What changes when a file or the names in a directory do; None: there is none."""
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            names = sorted(set(os.listdir(path)) - _OF_NO_INTEREST)
            return len(names), zlib.crc32("\0".join(names).encode("utf-8", "surrogateescape"))
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def begin(directory: str) -> int:
    """Make the cache directory; returns the time, for `begin_reading`, when reading may begin."""
    try:
        os.makedirs(directory)
    except OSError:
        return time.time_ns()  # it is there, or cannot be: then nothing will be remembered
    _ignore_in_git(directory)
    return time.time_ns() + 2 * _STEP_NS  # so that the parent's change lies safely before


def begin_reading(not_before_ns: int) -> int:
    """Wait until reading may begin; returns the time, for `remember`, at which it does."""
    time.sleep(max(0, not_before_ns - time.time_ns()) / 1e9)
    return time.time_ns()


def recall(directory: str, key: Mapping[str, object]) -> dict[str, object] | None:
    """The result remembered for this key, if all that it depends on is as it was.

    `key`: all that decides the result beside files: arguments, versions, the day. Anything wrong
    with what was remembered counts as nothing remembered.
    """
    try:
        with open(_file(directory, key), encoding="utf-8") as file:
            remembered = json.load(file)
        if remembered["format"] != _FORMAT or remembered["key"] != _plain(key):
            return None
        for path, stamp in remembered["stamps"]:
            now = stamp_of(path)
            if (None if now is None else list(now)) != stamp:
                return None
        result = remembered["result"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if isinstance(result, dict) else None


def remember(
    directory: str,
    key: Mapping[str, object],
    depends_on: Iterable[str],
    result: Mapping[str, object],
    began_ns: int,
) -> None:
    """Keep a result. Failing to is no failure.

    `depends_on`: every file and directory that was looked at, also those that were not there.
    `began_ns`: what `begin_reading` returned. Nothing is kept where one of them changed since, or
    so shortly before that a later change might not show in its times.
    """
    paths = list(dict.fromkeys(depends_on))
    if any(_changed_ns(path) >= began_ns - _STEP_NS for path in paths):
        return
    stamps = [(path, stamp_of(path)) for path in paths]
    kept = {"format": _FORMAT, "key": _plain(key), "stamps": stamps, "result": result}
    path = _file(directory, key)
    unfinished = f"{path}.{os.getpid()}"
    try:
        with open(unfinished, "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.replace(unfinished, path)
        _prune(directory)
    except OSError:
        _remove(unfinished)


def _changed_ns(path: str) -> int:
    """When a file or directory last changed; 0 where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return max(found.st_mtime_ns, found.st_ctime_ns)


def _plain(key: Mapping[str, object]) -> object:
    """The key as it comes back from JSON."""
    return json.loads(json.dumps(key, sort_keys=True))


def _file(directory: str, key: Mapping[str, object]) -> str:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    text = json.dumps([version, key], sort_keys=True)
    return os.path.join(directory, f"result-{zlib.crc32(text.encode()):08x}.json")


def _ignore_in_git(directory: str) -> None:
    """Keep the cache out of version control, wherever it lies."""
    try:
        with open(os.path.join(directory, ".gitignore"), "w", encoding="utf-8") as file:
            file.write("*\n")
    except OSError:
        pass


def _prune(directory: str) -> None:
    """Remove all but the latest results, and what other processes left unfinished long ago."""
    with os.scandir(directory) as listing:
        results = [entry for entry in listing if entry.name.startswith("result-")]
    results.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    for entry in results[_KEPT:]:
        _remove(entry.path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
