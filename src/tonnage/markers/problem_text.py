"""The text of what is wrong with a test's marks. Pure: lines are found by `locate`."""

from collections.abc import Mapping, Sequence

from tonnage.errors import MarkerError, MarkerProblem


def problem_text(error: MarkerError, *, path: str, lines: Mapping[str, Sequence[int]]) -> str:
    """One paragraph a problem: the reason, the place of each mark, the fix.

    `path`: the test's file as people see it. `lines`: the lines of each mark in it, by name; it
    may lack those that come from elsewhere.
    """
    return "\n".join(_paragraph(problem, path, lines) for problem in error.problems)


def _paragraph(problem: MarkerProblem, path: str, lines: Mapping[str, Sequence[int]]) -> str:
    places = [f"  {mark}: {_place(path, lines.get(mark, ()))}" for mark in problem.marks]
    return "\n".join([problem.reason, *places, f"  {problem.remedy}"])


def _place(path: str, lines: Sequence[int]) -> str:
    if not lines:
        return f"not found in {path}; a base class, conftest or plugin may add it"
    return ", ".join(f"{path}:{line}" for line in lines)
