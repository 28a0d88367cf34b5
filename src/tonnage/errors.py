"""The errors a user can meet. Each names the place, the reason and the remedy.

Anything else that is raised out of Tonnage is a bug of ours.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class TonnageError(Exception):
    """A mistake or condition the user can do something about.

    `where` is an option, a file:line or a configuration key; `remedy` one sentence.
    """

    def __init__(self, reason: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.reason}" if self.where else self.reason
        return f"{text}\n  {self.remedy}" if self.remedy else text


class ConfigError(TonnageError):
    """[tool.tonnage] cannot be read or holds a key or value that is not known."""


class OptionError(TonnageError):
    """A command-line option has a value that cannot be used."""


class MarkerProblemKind(str, Enum):
    """What sort of thing is wrong with marks: with one mark, or between several."""

    ARGUMENT = "argument"
    GPU_COUNTS = "gpu counts"
    NO_GPU = "no gpu"
    VRAM = "vram"


@dataclass(frozen=True, slots=True)
class MarkerProblem:
    """One thing wrong with a test's marks: the marks concerned, why, and what to do."""

    marks: tuple[str, ...]
    reason: str
    remedy: str
    kind: MarkerProblemKind = MarkerProblemKind.ARGUMENT


class MarkerError(TonnageError):
    """The marks of one test contradict each other or carry a wrong argument.

    `problems` holds everything that is wrong with them, at least one thing.
    """

    def __init__(self, problems: Sequence[MarkerProblem]) -> None:
        super().__init__(
            "; ".join(problem.reason for problem in problems),
            remedy=" ".join(problem.remedy for problem in problems),
        )
        self.problems = tuple(problems)


class DeviceError(TonnageError):
    """The GPUs that were asked for cannot be had."""


class AgentError(TonnageError):
    """The machinery that runs the tests failed to start or was lost."""


class RecordError(TonnageError):
    """A recorded run cannot be found or read."""


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """`did you mean "x"?` for the nearest known word, or None when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else None
