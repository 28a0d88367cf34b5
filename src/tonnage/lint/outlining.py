"""From the bytes of a file to its outline: parsed once, walked once."""

import ast
import io
import re
import tokenize
import warnings

from tonnage.lint.hooks import hook_marks
from tonnage.lint.outline import Outline, Span
from tonnage.lint.statements import Statements
from tonnage.lint.terms import Terms
from tonnage.lint.watching import facts_of

_IGNORE = re.compile(r"#\s*tonnage:\s*ignore\b(?:\[([^\]]*)\])?")
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_START: Span = (1, 1, 1, 1)


def outline_of(source: bytes) -> Outline:
    """The outline of a file with this content; never raises for what is in it."""
    lines = source.split(b"\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of invalid escapes: not ours to report
            module = ast.parse(source)
        terms = Terms(None if source.isascii() else lines)
        return Outline(
            tuple(Statements(lines, terms).read(module.body)),
            tuple(hook_marks(module, terms)),
            facts_of(module, source, terms),
            _ignores(source) if b"tonnage" in source else {},
        )
    except SyntaxError as error:
        return Outline(fault=(f"syntax error: {error.msg}", _span(error)))
    except UnicodeDecodeError as error:
        return Outline(fault=(f"cannot be decoded: {error.reason}", _START))
    except ValueError as error:  # null bytes
        return Outline(fault=(str(error), _START))
    except (RecursionError, MemoryError):
        return Outline(fault=("nested too deeply to be parsed", _START))


def _span(error: SyntaxError) -> Span:
    line, column = error.lineno or 1, max(error.offset or 1, 1)
    return line, column, line, column + 1


def _ignores(source: bytes) -> dict[int, frozenset[str]]:
    """What `# tonnage: ignore[CODE, ...]` comments silence, by line.

    A comment behind code silences its own line, one that stands alone the next line with code.
    """
    found: dict[int, frozenset[str]] = {}
    waiting: list[frozenset[str]] = []
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT and (match := _IGNORE.search(token.string)):
            codes = frozenset(filter(None, re.split(r"[,\s]+", match.group(1) or "")))
            if token.line[: token.start[1]].strip():
                found[line] = codes
            else:
                waiting.append(codes)
        elif waiting and token.type not in _NO_CODE:
            # No codes silence all, whatever the others say.
            found[line] = frozenset().union(*waiting) if all(waiting) else frozenset()
            waiting = []
    return found
