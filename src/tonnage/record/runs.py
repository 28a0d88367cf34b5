"""The runs on record: what each was, how far it came, and which one a user means."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tonnage.errors import RecordError
from tonnage.record.journal import JOURNAL, RunInfo
from tonnage.record.reading import Journal, is_being_written, read_ends, read_journal
from tonnage.record.store import find_home, run_directories
from tonnage.record.totals import Totals

State = Literal["running", "finished", "interrupted", "damaged"]


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run on record. `info` and `totals` are None when its journal cannot be read at all.

    `state`: running; finished (it recorded its end, whatever that was); interrupted (cut off, its
    process is gone); damaged. `size_bytes` is its journal's.
    """

    id: str
    directory: Path
    state: State
    info: RunInfo | None
    totals: Totals | None
    size_bytes: int

    @property
    def ending(self) -> str:
        """How it ended, in a word or two."""
        status = None if self.totals is None else self.totals.exit_status
        if self.state != "finished" or status is None:
            return "cut off" if self.state == "interrupted" else self.state
        if status > 128:
            return f"signal {status - 128}"
        return _ENDINGS.get(status, f"exit status {status}")


_ENDINGS = {
    0: "passed",
    1: "failed",
    2: "interrupted",
    3: "internal error",
    4: "usage error",
    5: "no tests",
}


def recorded_run(directory: Path) -> RecordedRun:
    """The run recorded in a directory. Reads two lines of a journal whose run ended in order."""
    try:
        size_bytes = (directory / JOURNAL).stat().st_size
        info, totals = read_ends(directory)
        if totals is not None:
            state: State = "finished"
        else:
            journal = read_journal(directory)
            totals = journal.totals
            state = "running" if is_being_written(directory) else "interrupted"
            if state == "interrupted" and totals.exit_status is not None:
                state = "finished"
    except (RecordError, OSError):
        return RecordedRun(directory.name, directory, "damaged", None, None, 0)
    return RecordedRun(directory.name, directory, state, info, totals, size_bytes)


def home_above(start: Path) -> Path:
    """The records of the project that `start` is in; RecordError when there are none."""
    home = find_home(start)
    if home is None or not run_directories(home):
        raise RecordError(
            f"no recorded runs in {start} or above it",
            remedy="pytest --pack records its runs in .tonnage/ of the project's root directory.",
        )
    return home


def find_run(start: Path, name: str | None) -> Path:
    """The directory of the run that `name` begins the id of; None: of the newest.

    Raises RecordError when none or several match.
    """
    directories = run_directories(home_above(start))
    if name is None:
        return directories[0]
    found = [each for each in directories if each.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise RecordError(
            f'no recorded run has an id that begins with "{name}"',
            remedy="`tonnage runs` lists the recorded runs.",
        )
    raise RecordError(
        f'{len(found)} recorded runs have an id that begins with "{name}": '
        + ", ".join(each.name for each in found[:5]),
        remedy="Give more of the id.",
    )


def load_run(start: Path, name: str | None) -> Journal:
    """The journal of a run; RecordError when there is none."""
    return read_journal(find_run(start, name))
