"""Files beside Python that hold tests or start them: Rust crates and shell scripts."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SKIPPED = frozenset(("target", "build", "dist", "node_modules", "venv", "__pycache__"))
_IGNORE = re.compile(r"(?:#|//)\s*tonnage:\s*ignore\b(?:\s*\[(?P<codes>[^\]]*)\])?")


@dataclass(frozen=True, slots=True)
class RustFile:
    """A Rust file and its crate: the directory of the nearest Cargo.toml."""

    path: Path
    crate: Path


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The Rust files of crates and the *.sh scripts that were found, and what was walked."""

    rust: tuple[RustFile, ...] = ()
    scripts: tuple[Path, ...] = ()
    directories: tuple[Path, ...] = ()

    def depends_on(self) -> list[str]:
        """Every file and directory whose change may change what is found here."""
        manifests = {each.crate / "Cargo.toml" for each in self.rust}
        sources = [each.path for each in self.rust]
        return sorted(map(str, {*self.directories, *self.scripts, *sources, *manifests}))


def find_elsewhere(paths: Sequence[Path], root: Path) -> Elsewhere:
    """What lies below these paths; links to directories are not followed.

    A Rust file counts where it lies in `src` or `tests` of a crate below the root.
    """
    rust: dict[Path, RustFile] = {}
    scripts: dict[Path, None] = {}
    walked: dict[Path, None] = {}
    for path in paths:
        for directory, names in _walk(path.absolute()):
            walked[directory] = None
            for name in names:
                file = directory / name
                if not name.endswith((".sh", ".rs")) or not file.is_file():
                    continue  # a pipe would be waited for
                if name.endswith(".sh"):
                    scripts[file] = None
                elif crate := _crate_of(file, root):
                    rust[file] = RustFile(file, crate)
    return Elsewhere(tuple(rust.values()), tuple(scripts), tuple(walked))


def _crate_of(file: Path, root: Path) -> Path | None:
    for parent in file.parents:
        if not parent.is_relative_to(root):
            break
        if (parent / "Cargo.toml").is_file():
            return parent if file.relative_to(parent).parts[0] in ("src", "tests") else None
    return None


def _walk(top: Path) -> Iterator[tuple[Path, list[str]]]:
    if top.is_file():
        yield top.parent, [top.name]
    for directory, below, names in os.walk(top):
        below[:] = sorted(name for name in below if name[0] != "." and name not in _SKIPPED)
        yield Path(directory), sorted(names)


def shown(path: Path, root: Path) -> str:
    """The path as findings show it: from the root, with `/`."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def is_silenced(lines: Sequence[str], line: int, code: str) -> bool:
    """Whether a comment on this line (from 1), or alone on the one above, silences the rule."""
    here = _IGNORE.search(lines[line - 1]) if line <= len(lines) else None
    above = lines[line - 2].strip() if line > 1 else ""
    alone = _IGNORE.match(above)
    return any(
        match is not None and (match["codes"] is None or code in re.findall(r"\w+", match["codes"]))
        for match in (here, alone)
    )
