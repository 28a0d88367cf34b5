"""Reading many files and doing something with each share of them, on all CPUs, with the cache."""

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from tonnage.lint.outlines import Outlines
from tonnage.lint.parallel import map_shares
from tonnage.lint.project import Project
from tonnage.lint.read import Reader
from tonnage.lint.source import Reading
from tonnage.lint.store import OutlineStore

# Below so many bytes of source a second process costs more than it saves.
_WORTH_A_PROCESS = 200_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Checked(Generic[Result]):
    """What was made of each share of the files, in order, and what all of it depends on.

    `depends_on`: every file and directory that was looked at, as `remembered.remember` takes it.
    """

    results: tuple[Result, ...]
    depends_on: tuple[str, ...]


def check_paths(
    paths: Sequence[Path],
    project: Project,
    check: Callable[[Reading], Result],
    *,
    jobs: int = 0,
    cache: Path | None = None,
) -> Checked[Result]:
    """Read the files below these paths and check them, a share at a time, in several processes.

    `check` gets the reading of some of the files and returns what JSON can say. `jobs`: processes
    at most, 0 for one for each CPU. `cache`: the directory of the outlines, None for none.
    """
    # Much is made here and little of it becomes garbage before the end.
    had_collector = gc.isenabled()
    gc.disable()
    try:
        return _checked(paths, project, check, jobs or _cpus(), cache)
    finally:
        if had_collector:
            gc.enable()


def _checked(
    paths: Sequence[Path],
    project: Project,
    check: Callable[[Reading], Result],
    jobs: int,
    cache: Path | None,
) -> Checked[Result]:
    store = None if cache is None else OutlineStore(cache)
    stored = None if store is None else store.load()
    reader = Reader(project, Outlines(stored))
    found = reader.find(paths)

    def end() -> dict[str, Any]:
        outlines = reader.outlines
        return {
            "made": outlines.made,
            "used": sorted(outlines.used),
            "depends_on": reader.depends_on(),
        }

    sizes = [_size(one.path) for one in found]
    worth = max(1, min(jobs, sum(sizes) // _WORTH_A_PROCESS))
    results, ends = map_shares(lambda share: check(reader.read(share)), end, found, sizes, worth)
    made = {key: text for one in ends for key, text in one["made"].items()}
    if store is not None and stored is not None and made:
        store.save(stored, made, [key for one in ends for key in one["used"]])
    depends_on = dict.fromkeys(path for one in ends for path in one["depends_on"])
    return Checked(tuple(results), tuple(depends_on))


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
