"""Reading and writing a Python file so that nothing but the wanted text changes on disk.

Encoding, byte order mark, line endings, mode bits and symlinks stay as they are.
"""

import codecs
import io
import os
import shutil
import tempfile
import tokenize
from dataclasses import dataclass
from pathlib import Path

from tonnage.errors import TonnageError


class SourceFileError(TonnageError):
    """A source file cannot be read or written; `where` names it."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of a file, without its byte order mark and with its own line endings.

    `data` are the bytes it was read from.
    """

    text: str
    encoding: str
    has_mark: bool
    data: bytes


def read_source(path: Path) -> SourceText:
    """The text in the encoding that the file declares. Raises SourceFileError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceFileError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        # "utf-8-sig" is what Python calls a file that begins with the mark.
        has_mark = data.startswith(codecs.BOM_UTF8)
        encoding = "utf-8" if has_mark else encoding
        text = data.removeprefix(codecs.BOM_UTF8).decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise SourceFileError(
            f"cannot be decoded: {error}",
            where=str(path),
            remedy="Save it as UTF-8, or declare its encoding in the first line.",
        ) from error
    return SourceText(text, encoding, has_mark, data)


def write_source(path: Path, source: SourceText, text: str) -> None:
    """Write `text` in place of what was read from `path`, whole or not at all.

    Raises SourceFileError when the file was changed since, or cannot be written.
    """
    try:
        data = (codecs.BOM_UTF8 if source.has_mark else b"") + text.encode(source.encoding)
    except UnicodeEncodeError as error:
        raise SourceFileError(
            f"cannot hold {error.object[error.start]!r} in its encoding, {source.encoding}",
            where=str(path),
        ) from error
    target = path.resolve()
    try:
        if target.read_bytes() != source.data:
            raise SourceFileError(
                "was changed by somebody else meanwhile", where=str(path), remedy="Run again."
            )
        if not os.access(target, os.W_OK):
            raise PermissionError(0, "it is read-only")
        _replace(target, data)
    except OSError as error:
        raise SourceFileError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _replace(target: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
