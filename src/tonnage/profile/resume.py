"""The file that lets an interrupted profile of many tests go on: one JSON line a finished test.

Lines are only ever added, each in one write, so a run that dies costs at most its last line. What
cannot be read is passed over: those tests are profiled again. A command that starts anew says so
in a line of its own, and forgets what the same command had found; others keep theirs.
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
    """The finished profiles of one command in a project; `how` tells it from all others."""

    def __init__(self, root: Path, how: Mapping[str, Any]) -> None:
        self.problem = ""  # why something could not be kept
        self.path = root / DIRECTORY / "finished.jsonl"
        self._how = json.loads(json.dumps(how))

    def read(self) -> dict[str, SearchResult]:
        """The result of each test that this command finished since it last started anew."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        found: dict[str, SearchResult] = {}
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                if entry["how"] != self._how:
                    continue
                if "test" in entry:
                    found[entry["test"]] = result_from_json(entry["result"])
                else:
                    found.clear()
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
            self._append({"how": self._how} if anew else None)
        except OSError as error:
            raise OptionError(
                f"cannot write {self.path}: {error.strerror}",
                remedy="Results are kept there for --resume; make the directory writable.",
            ) from error

    def add(self, test: str, result: SearchResult) -> None:
        """Keep a finished result; an interrupted one is not finished.

        What cannot be kept is no reason to lose the rest: `problem` then says why.
        """
        if result.verdict is Verdict.INTERRUPTED:
            return
        try:
            self._append({"test": test, "how": self._how, "result": result_to_json(result)})
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}"

    def _append(self, entry: Mapping[str, Any] | None) -> None:
        # The break before the line ends whatever a crash left without one.
        text = "" if entry is None else json.dumps(entry, separators=(",", ":"))
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, f"\n{text}\n".encode())
        finally:
            os.close(fd)
