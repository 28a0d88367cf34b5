"""The command line of `tonnage lint`, by argparse: typer would take longer to start than lint."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

from tonnage.errors import OptionError


class Format(str, Enum):
    """How the findings are written."""

    CONCISE = "concise"
    FULL = "full"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    JUNIT = "junit"


@dataclass(frozen=True, slots=True)
class LintOptions:
    """What the command line asks for; codes are upper case, `jobs` 0 is one for each CPU."""

    paths: tuple[Path, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    fix: bool
    unsafe_fixes: bool
    diff: bool
    format: Format
    output: Path | None
    statistics: bool
    explain: bool
    baseline: Path | None
    update_baseline: bool
    list_tests: bool
    cache: bool
    jobs: int


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(
            message, where="tonnage lint", remedy="`tonnage lint --help` lists the options."
        )


def parse_options(arguments: Sequence[str]) -> LintOptions:
    """The options. Raises OptionError for what is no option; `--help` prints and exits."""
    given = _parser().parse_args(arguments)
    options = LintOptions(
        paths=tuple(map(Path, given.paths)),
        select=_codes(given.select),
        ignore=_codes(given.ignore),
        fix=given.fix,
        unsafe_fixes=given.unsafe_fixes,
        diff=given.diff,
        format=Format(given.format),
        output=given.output,
        statistics=given.statistics,
        explain=given.explain,
        baseline=given.baseline,
        update_baseline=given.update_baseline,
        list_tests=given.list_tests,
        cache=not given.no_cache,
        jobs=given.jobs,
    )
    _refuse_contradictions(options)
    return options


def _refuse_contradictions(options: LintOptions) -> None:
    plain = (Format.CONCISE, Format.FULL)
    if options.unsafe_fixes and not (options.fix or options.diff):
        raise OptionError("needs --fix or --diff", where="--unsafe-fixes")
    if options.update_baseline and options.baseline is None:
        raise OptionError("needs --baseline FILE", where="--update-baseline")
    if options.update_baseline and (options.fix or options.diff):
        raise OptionError(
            "accepts what is found now", where="--update-baseline", remedy="Give --fix before."
        )
    if options.statistics and options.format not in (*plain, Format.JSON):
        raise OptionError("is for the formats concise, full and json", where="--statistics")
    if options.list_tests and options.format not in (*plain, Format.JSON):
        raise OptionError("is for the formats concise and json", where="--list-tests")
    changing = ("--fix", options.fix), ("--diff", options.diff)
    for name, is_given in (*changing, ("--update-baseline", options.update_baseline)):
        if options.list_tests and is_given:
            raise OptionError("lists tests and checks nothing", where=f"--list-tests {name}")
    if options.jobs < 0:
        raise OptionError("is not a number of processes", where=f"--jobs {options.jobs}")


def _codes(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(code.strip().upper() for text in given for code in text.split(",") if code.strip())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tonnage lint",
        description="Check tests against the marker contract, without importing them. "
        "Exit code 0: nothing but notes; 1: findings; 2: a mistake in the command or settings.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATHS", help="test files and directories; all by default")
    add(
        "--select",
        action="append",
        default=[],
        metavar="CODES",
        help="check these rules, such as TNG101 or TNG4, instead of those of the project",
    )
    add("--ignore", action="append", default=[], metavar="CODES", help="leave these rules out too")
    add("--fix", action="store_true", help="change the files where the right text is certain")
    add(
        "--unsafe-fixes",
        action="store_true",
        help="with --fix or --diff: also changes that may change what a test does",
    )
    add("--diff", action="store_true", help="show what --fix would change, and change nothing")
    add(
        "--format",
        choices=[each.value for each in Format],
        default=Format.CONCISE.value,
        help="how to write the findings (default: concise)",
    )
    add("--output", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    add("--statistics", action="store_true", help="count the findings by rule")
    add("--explain", action="store_true", help="also say where rules cannot judge, and why")
    add("--baseline", type=Path, metavar="FILE", help="leave out the findings that FILE accepts")
    add(
        "--update-baseline",
        action="store_true",
        help="write the baseline anew: all that is found now is accepted",
    )
    add("--list-tests", action="store_true", help="list the tests with their marks; check nothing")
    add("--no-cache", action="store_true", help="neither use nor keep what is known of the files")
    add(
        "-j",
        "--jobs",
        type=int,
        default=0,
        metavar="N",
        help="processes that read (default: one for each CPU)",
    )
    return parser
