"""What a command writes where `--output` says."""

import os
from pathlib import Path

from tonnage.errors import OptionError


def write_output(file: Path, text: str) -> None:
    """Write a file whole or not at all. Raises OptionError when it cannot be written."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        # A device or pipe is written to as it is: it cannot be replaced.
        if file.exists() and not file.is_file():
            file.write_text(text, encoding="utf-8", errors="surrogateescape")
        else:
            part.write_text(text, encoding="utf-8", errors="surrogateescape")
            part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OptionError(
            f"cannot write {file}: {error.strerror}",
            where="--output",
            remedy="Give a file in a directory that exists and can be written to.",
        ) from error
