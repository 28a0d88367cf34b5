"""The file that lets an interrupted profile go on: one JSON line a probe, and a finished test.

Lines are only ever added, each in one write, so a run that dies costs at most its last line. What
cannot be read is passed over, and measured again. A command that starts anew says so
in a line of its own, and forgets what the same command had found; others keep theirs.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tonnage.errors import OptionError
from tonnage.profile.codec import (
    probe_from_json,
    probe_to_json,
    result_from_json,
    result_to_json,
)
from tonnage.profile.model import ProbeResult, SearchResult, Verdict

DIRECTORY = Path(".tonnage", "profile")
# Keeps the directory out of version control without the user's doing.
_IGNORE_ALL = "*\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a command found earlier: the results of tests, and the probes of unfinished ones."""

    finished: dict[str, SearchResult] = field(default_factory=dict)
    begun: dict[str, list[ProbeResult]] = field(default_factory=dict)


class ResumeFile:
    """The probes and results of one command in a project; `how` tells it from all others."""

    def __init__(self, root: Path, how: Mapping[str, Any]) -> None:
        self.problem = ""  # why something could not be kept
        self.path = root / DIRECTORY / "finished.jsonl"
        self._how = json.loads(json.dumps(how))

    def read(self) -> Kept:
        """What this command found since it last started anew."""
        kept = Kept()
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return kept
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                if entry["how"] != self._how:
                    continue
                if "probe" in entry:
                    probe = probe_from_json(entry["probe"])
                    kept.begun.setdefault(entry["test"], []).append(probe)
                elif "test" in entry:
                    kept.finished[entry["test"]] = result_from_json(entry["result"])
                    kept.begun.pop(entry["test"], None)
                else:
                    kept = Kept()
            except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
                continue
        return kept

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
        if result.verdict is not Verdict.INTERRUPTED:
            self._keep({"test": test, "how": self._how, "result": result_to_json(result)})

    def add_probe(self, test: str, probe: ProbeResult) -> None:
        """Keep a probe of a test that is not finished; as `add`."""
        self._keep({"test": test, "how": self._how, "probe": probe_to_json(probe)})

    def _keep(self, entry: Mapping[str, Any]) -> None:
        try:
            self._append(entry)
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
