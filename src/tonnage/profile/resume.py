"""The file that lets an interrupted profile of many tests go on: one JSON line a finished test.

Lines are only ever added, each in one write, so a run that dies costs at most its last line. What
cannot be read is passed over: those tests are profiled again.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tonnage.errors import OptionError
from tonnage.profile.codec import result_from_json, result_to_json
from tonnage.profile.model import SearchResult, Verdict

DIRECTORY = Path(".tonnage", "profile")
# Keeps the directory out of version control without the user's doing.
_IGNORE_ALL = "*\n"


class ResumeFile:
    """The finished profiles of a project. `how` says how they are made; others do not count."""

    def __init__(self, root: Path, how: Mapping[str, Any]) -> None:
        self.path = root / DIRECTORY / "finished.jsonl"
        self._how = json.loads(json.dumps(how))

    def read(self) -> dict[str, SearchResult]:
        """The newest result of each test that was profiled in the same way."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        found = {}
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                if entry["how"] == self._how:
                    found[entry["test"]] = result_from_json(entry["result"])
            except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
                continue
        return found

    def begin(self, *, anew: bool) -> None:
        """Make sure that it can be written; `anew` forgets what it holds. Raises OptionError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            ignore = self.path.parent.parent / ".gitignore"
            if not ignore.exists():
                ignore.write_text(_IGNORE_ALL, encoding="utf-8")
            with self.path.open("wb" if anew else "ab"):
                pass
        except OSError as error:
            raise OptionError(
                f"cannot write {self.path}: {error.strerror}",
                remedy="Results are kept there for --resume; make the directory writable.",
            ) from error

    def add(self, test: str, result: SearchResult) -> None:
        """Keep a finished result; an interrupted one is not finished."""
        if result.verdict is Verdict.INTERRUPTED:
            return
        entry = {"test": test, "how": self._how, "result": result_to_json(result)}
        # The break before the line ends whatever a crash left without one.
        line = b"\n" + json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
