"""Files that a command writes where an option says."""

import os
from pathlib import Path

from tonnage.errors import OptionError


def write_output(
    file: Path,
    data: str | bytes,
    option: str = "--output",
    remedy: str = "Give a file in a directory that exists and can be written to.",
) -> None:
    """Write a file whole or not at all. Raises OptionError when it cannot be written."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        # A device or pipe is written to as it is: it cannot be replaced.
        if file.exists() and not file.is_file():
            file.write_bytes(data)
        else:
            part.write_bytes(data)
            part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OptionError(
            f"cannot write {file}: {error.strerror}", where=option, remedy=remedy
        ) from error
