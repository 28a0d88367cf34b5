"""What the reading needs of pytest's configuration, found and read as pytest does, without pytest.

Which file counts and what is the root follow pytest's documentation ("Configuration file formats"
and "rootdir"), as of pytest 9.
"""

import configparser
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tonnage.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

_NAMES = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)
_NORECURSEDIRS = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")


@dataclass(frozen=True, slots=True)
class Project:
    """Where the project's root is and how pytest is set up there.

    `config` is the file the settings came from, None without one. Paths in `ignore` are absolute.
    `markers` are the registered ones, by name without arguments. `timeout_s` is pytest-timeout's
    default for all tests, in seconds.
    """

    root: Path
    config: Path | None = None
    python_files: tuple[str, ...] = ("test_*.py", "*_test.py")
    python_classes: tuple[str, ...] = ("Test",)
    python_functions: tuple[str, ...] = ("test",)
    testpaths: tuple[str, ...] = ()
    norecursedirs: tuple[str, ...] = _NORECURSEDIRS
    pythonpath: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    ignore: tuple[Path, ...] = ()
    ignore_globs: tuple[str, ...] = ()
    collects_imported: bool = True
    collects_in_virtualenv: bool = False
    xfail_strict: bool = False
    timeout_s: float | None = None


def find_project(paths: Sequence[Path], directory: Path) -> Project:
    """The project that `pytest PATHS`, started in `directory`, would see.

    Raises ConfigError when the configuration file cannot be read.
    """
    ancestor = _common_ancestor(paths, directory)
    found = _configured(ancestor)
    if found is None:
        setup = next((at for at in _upwards(ancestor) if (at / "setup.py").is_file()), None)
        if setup is not None:
            return Project(setup)
        found = next((hit for path in paths if (hit := _configured(path))), None)
    if found is None:
        return Project(_common_ancestor([directory, ancestor], directory))
    config, values = found
    return _project(config, values)


def configuration_places(directory: Path) -> list[str]:
    """Every file whose appearing or changing may change the project found from a directory."""
    names = (*_NAMES, "setup.py")
    return [str(base / name) for base in _upwards(directory) for name in names]


def _upwards(path: Path) -> tuple[Path, ...]:
    return (path, *path.parents)


def _common_ancestor(paths: Sequence[Path], directory: Path) -> Path:
    existing = [path for path in paths if path.exists()]
    if not existing:
        return directory
    shared = existing[0]
    for path in existing[1:]:
        while shared != path and shared not in path.parents:
            shared = shared.parent
    return shared.parent if shared.is_file() else shared


def _configured(start: Path) -> tuple[Path, Mapping[str, object]] | None:
    """The nearest configuration of pytest from `start` upwards, or the nearest pyproject.toml."""
    pyproject = None
    for base in _upwards(start):
        for name in _NAMES:
            path = base / name
            if not path.is_file():
                continue
            if name == "pyproject.toml":
                pyproject = pyproject or path
            values = _values(path)
            if values is not None:
                return path, values
    return None if pyproject is None else (pyproject, {})


def _values(path: Path) -> Mapping[str, object] | None:
    """pytest's settings in this file; None where it holds none and so does not count."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return _toml_values(path.name, tomllib.loads(text))
        parser = configparser.RawConfigParser(
            delimiters=("=", ":"), comment_prefixes=("#", ";"), strict=False, allow_no_value=True
        )
        parser.read_string(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, configparser.Error) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"cannot be read: {reason}", where=str(path)) from error
    section = "tool:pytest" if path.name == "setup.cfg" else "pytest"
    if parser.has_section(section):
        return dict(parser.items(section))
    return {} if path.name in {"pytest.ini", ".pytest.ini"} else None


def _toml_values(name: str, document: dict[str, Any]) -> Mapping[str, object] | None:
    if name != "pyproject.toml":
        table = document.get("pytest", {})
        return table if isinstance(table, dict) else {}
    table = document.get("tool", {}).get("pytest", {})
    native = {key: value for key, value in table.items() if key != "ini_options"}
    options = table.get("ini_options")
    return native or (options if isinstance(options, dict) else None)


def _project(config: Path, values: Mapping[str, object]) -> Project:
    root = config.parent
    options = _words(values.get("addopts"))
    values = {**values, **dict(_overrides(options))}
    given = {
        key: _words(values[key])
        for key in (
            "python_files",
            "python_classes",
            "python_functions",
            "testpaths",
            "norecursedirs",
            "pythonpath",
        )
        if key in values
    }
    return Project(
        root=root,
        config=config,
        markers=tuple(_marker_name(line) for line in _lines(values.get("markers"))),
        ignore=tuple(root / path for path in _option(options, "--ignore")),
        ignore_globs=tuple(str(root / glob) for glob in _option(options, "--ignore-glob")),
        collects_imported=_flag(values.get("collect_imported_tests"), default=True),
        collects_in_virtualenv="--collect-in-virtualenv" in options,
        xfail_strict=_flag(values.get("xfail_strict", values.get("strict")), default=False),
        timeout_s=_number(values.get("timeout")),
        **given,
    )


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(shlex.split(value))
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _lines(value: object) -> tuple[str, ...]:
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list):
        return ()
    return tuple(str(line).strip() for line in lines if str(line).strip())


def _marker_name(line: str) -> str:
    return line.split(":", 1)[0].split("(", 1)[0].strip()


def _option(options: Sequence[str], name: str) -> list[str]:
    """The values of an option, written `--name=value` or `--name value`."""
    joined = [word[len(name) + 1 :] for word in options if word.startswith(f"{name}=")]
    return joined + [after for word, after in pairwise(options) if word == name]


def _overrides(options: Sequence[str]) -> list[tuple[str, str]]:
    settings = [*_option(options, "-o"), *_option(options, "--override-ini")]
    return [(key, value) for key, sign, value in (text.partition("=") for text in settings) if sign]


def _flag(value: object, *, default: bool) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in {"1", "yes", "true", "on"}
    return default if value is None else bool(value)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
