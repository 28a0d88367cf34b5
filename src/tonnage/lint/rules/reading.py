"""TNG901: a file that cannot be read."""

from collections.abc import Iterator, Sequence

from tonnage.lint.context import Context
from tonnage.lint.model import DeclaredTest, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.lint.source import SourceFile


def _unreadable(
    file: SourceFile, tests: Sequence[DeclaredTest], context: Context
) -> Iterator[Found]:
    for problem in file.problems:
        yield Found(problem.reason, problem.place)


RULES = (
    Rule(
        "TNG901",
        "unreadable-file",
        Severity.ERROR,
        "A file cannot be read, or is no Python of this version.",
        "Nothing is known of its tests; the other files are checked.",
        "def test_old():\n    print 'Python 2'",
        "def test_old():\n    print('Python 3')",
        of_file=_unreadable,
    ),
)
