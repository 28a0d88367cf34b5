"""Where the limits of this process's control groups are, of cgroup version 1 and 2."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cgroup_directories(root: Path, controller: str) -> Iterator[Path]:
    """Directories of this process's cgroup and of each one above it, of either version.

    `root` is where /proc and /sys are found, `controller` what is to be limited: "cpu", "memory".
    """
    for line in lines_of(root / "proc/self/cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0":
            names = ["", "unified"]
        elif controller in controllers.split(","):
            names = list(dict.fromkeys((controllers, controller)))
        else:
            continue
        # Inside a container the path may be the host's, of which only the upper end exists here;
        # the walk then begins to find files at the container's own root.
        inside = PurePosixPath(path.lstrip("/"))
        for name in names:
            mount = root / "sys/fs/cgroup" / name
            for part in (inside, *inside.parents):
                yield mount / part


def lines_of(path: Path) -> list[str]:
    """The lines of a small file of the kernel's; none when it is not there."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
