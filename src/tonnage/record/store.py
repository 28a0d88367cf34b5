"""Where runs are recorded: `.tonnage/` in the project's root directory, private to its owner.

.tonnage/.gitignore             keeps all of it out of git
.tonnage/runs/<id>/             one directory a run: its journal
.tonnage/measured.json          what the journals say about each test: see record.measured_file
"""

import os
import secrets
from datetime import datetime, timezone
from pathlib import Path

HOME = ".tonnage"
MEASURED = "measured.json"
_RUNS = "runs"


def new_run_id(wall_s: float) -> str:
    """An id that sorts by time (UTC) and that nobody else has: `20261125-151203-ab12cd`."""
    moment = datetime.fromtimestamp(wall_s, timezone.utc)
    return f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def new_run(root: Path, run_id: str) -> Path:
    """Make the directory of a new run under `root`. Raises OSError."""
    directory = runs_of(make_home(root)) / run_id
    directory.parent.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700)
    return directory


def make_home(root: Path) -> Path:
    """The directory of all records under `root`, made when missing. Raises OSError."""
    home = root / HOME
    home.mkdir(mode=0o700, exist_ok=True)
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return home


def runs_of(home: Path) -> Path:
    """Where the runs of a home are."""
    return home / _RUNS


def find_home(start: Path) -> Path | None:
    """The nearest directory of records at or above `start`; None when there is none."""
    places = (directory / HOME for directory in (start, *start.parents))
    return next((home for home in places if runs_of(home).is_dir()), None)


def run_directories(home: Path) -> list[Path]:
    """The directories of all runs, newest first."""
    try:
        with os.scandir(runs_of(home)) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [runs_of(home) / name for name in sorted(names, reverse=True)]


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees a part of it. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(2)}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
