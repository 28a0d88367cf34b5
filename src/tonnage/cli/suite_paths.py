"""Which files a command that reads tests looks at, by its arguments or as pytest would."""

from collections.abc import Sequence
from pathlib import Path

from tonnage.errors import OptionError
from tonnage.lint.project import Project, find_project


def find_suite(given: Sequence[Path], directory: Path) -> tuple[Project, list[Path]]:
    """The project, and the absolute paths to read: those given, else `testpaths`, else all of it.

    Raises OptionError for a path that does not exist, ConfigError for an unreadable configuration.
    """
    paths = [directory / path for path in given]
    for path, as_given in zip(paths, given, strict=True):
        if not path.exists():
            raise OptionError(
                f"there is no {as_given}", where="PATHS", remedy="Give files or directories."
            )
    project = find_project(paths or [directory], directory)
    if not paths and project.root == directory:
        paths = [
            path for glob in project.testpaths for path in sorted(directory.glob(glob.rstrip("/")))
        ]
    return project, paths or [directory]
