"""TNG901-902: a file that cannot be read, an ignore comment that silences nothing."""

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


UNUSED = Rule(
    "TNG902",
    "unused-ignore",
    Severity.WARNING,
    "A `tonnage: ignore` comment silences nothing.",
    "What it was for has been mended, or its code is wrong; it would hide the next mistake. Silent "
    "where a rule that it names was not checked or cannot judge: marks that are not known, no "
    "history, no largest card. A comment without codes names all rules.",
    "@pytest.mark.gpu_1  # tonnage: ignore[TNG106]\n@pytest.mark.max_vram_gib(8)\n"
    "def test_decode(): ...",
    "@pytest.mark.gpu_1\n@pytest.mark.max_vram_gib(8)\ndef test_decode(): ...",
    fixable=True,
)

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
    UNUSED,
)
