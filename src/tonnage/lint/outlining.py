"""From the bytes of a file to its outline: parsed once, walked once."""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import replace

from tonnage.lint.hooks import hook_marks
from tonnage.lint.ignore_text import IGNORE
from tonnage.lint.outline import Ignore, Outline, Span
from tonnage.lint.statements import Statements
from tonnage.lint.terms import Terms
from tonnage.lint.watching import facts_of

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
            tuple(_ignores(source)) if b"tonnage" in source else (),
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


def _ignores(source: bytes) -> Iterator[Ignore]:
    """The comments that silence rules.

    One behind code silences its own line, one that stands alone the next line with code.
    """
    waiting: list[Ignore] = []
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        line, column = token.start
        if token.type == tokenize.COMMENT and (match := IGNORE.search(token.string)):
            codes = tuple(re.findall(r"[^,\s]+", match["codes"] or ""))
            at = (line, column + match.start() + 1, line, column + match.end() + 1)
            if token.line[:column].strip():
                yield Ignore(line, codes, token.line[:1].isspace(), at)
            else:
                waiting.append(Ignore(line, codes, False, at))
        elif waiting and token.type not in _NO_CODE:
            for one in waiting:
                yield replace(one, line=line, is_inside=token.line[:1].isspace())
            waiting = []
