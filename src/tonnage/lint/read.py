"""The static reading: from paths to the tests that pytest would collect there, and their marks.

Reads each file once, imports none. `read_paths` is the door; the work is done in the modules that
it calls.
"""

from collections.abc import Sequence
from pathlib import Path

from tonnage.lint.project import Project
from tonnage.lint.source import Reading


def read_paths(paths: Sequence[Path], project: Project) -> Reading:
    """What pytest would collect from these files and directories.

    A file that cannot be read is in `files` with its problem. Paths that do not exist are the
    caller's to refuse.
    """
    raise NotImplementedError
