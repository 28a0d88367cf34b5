"""Other projects' suites, unmodified, run plain and packed: every test must end the same way.

    python examples/real_suites.py [--suites pluggy,attrs] [--quick] [--json FILE] [--cache DIR]

Each suite is a source distribution from the package index, at a pinned version and checksum. It
gets an environment of its own with what its tests need, pytest, pytest-xdist and this checkout of
Tonnage. Then the same tests run four times: with plain pytest, with `-n 2`, and with `--pack` at
isolation `test` and `worker` on two slots. A small plugin notes how each test ended, and the notes
of the packed runs must equal those of the plain one. Exit code 1 when they do not.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Outside the checkout: a suite without a pytest configuration would find the checkout's above it.
DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "tonnage-suites")
SHOWN_DIFFERENCES = 10


@dataclass(frozen=True)
class Suite:
    """One published source distribution, and what its tests need beside pytest."""

    name: str
    version: str
    sha256: str
    tests: tuple[str, ...]
    requires: tuple[str, ...] = ()
    quick: bool = False

    @property
    def directory_name(self) -> str:
        """The one directory at the top of the distribution."""
        return f"{self.name.replace('-', '_')}-{self.version}"


SUITES = (
    Suite(
        name="itsdangerous",
        version="2.2.0",
        sha256="e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173",
        tests=("tests",),
        requires=("freezegun",),
        quick=True,
    ),
    Suite(
        name="pluggy",
        version="1.6.0",
        sha256="7dcc130b76258d33b90f61b658791dede3486c3e6bfb003ee5c9bfb396dd22f3",
        tests=("testing",),
        quick=True,
    ),
    Suite(
        name="more-itertools",
        version="10.8.0",
        sha256="f638ddf8a1a0d134181275fb5d58b086ead7c6a72429ad725c67503f13ba30bd",
        tests=("tests",),
    ),
    Suite(
        name="jinja2",
        version="3.1.6",
        sha256="0137fb05990d35f1275a587e9aee6d56da821fc83491a0fb838183be43f66d6d",
        tests=("tests",),
        requires=("trio",),
    ),
    Suite(
        name="attrs",
        version="25.4.0",
        sha256="16d5969b87f0859ef33a48b35d55ac1be6e42ae49d5e853b597db70c35c57e11",
        tests=("tests",),
        requires=("cloudpickle", "hypothesis", "pympler"),
    ),
    Suite(
        name="networkx",
        version="3.4.2",
        sha256="307c3669428c5362aab27c8a1260aa8f47c4e91d3891f48be0141738d8d053e1",
        tests=("networkx",),
    ),
    Suite(
        name="packaging",
        version="25.0",
        sha256="d443872c98d677bf60f6a1f2f8c1cb748e8fe762d2bf9d3148b5599295b0fc4f",
        tests=("tests",),
        requires=("pretend",),
    ),
)

PLAIN = "plain"
XDIST = "xdist"
PACKED = ("test", "worker")
WAYS: Mapping[str, tuple[str, ...]] = {
    PLAIN: (),
    XDIST: ("-n", "2"),
    **{
        level: ("--pack", "--isolation", level, "--slots", "2", "--gpus", "none")
        for level in PACKED
    },
}

# Loaded into every run by `-p`. Tonnage and xdist load a user's plugins in their workers too, so
# only the process that this script started writes the notes.
NOTES_PLUGIN = '''
"""Notes how each test ended, as the reporters of the run see it."""

import json
import os
import shutil

ended = {}


def note(nodeid, how):
    ended.setdefault(nodeid, []).append(how)


def pytest_runtest_logreport(report):
    if hasattr(report, "wasxfail"):
        note(report.nodeid, "xfailed" if report.skipped else "xpassed")
    elif report.failed and report.when != "call":
        note(report.nodeid, "error in " + report.when)
    elif report.when == "call" or not report.passed:
        note(report.nodeid, report.outcome)


def pytest_collectreport(report):
    if report.failed:
        note(report.nodeid, "error in collection")


def pytest_sessionfinish(session):
    if os.getppid() == int(os.environ["NOTES_PARENT"]):
        with open(os.environ["NOTES_FILE"], "w") as file:
            json.dump(ended, file)
'''


class SuiteError(Exception):
    """A suite could not be fetched, installed or run at all."""


@dataclass(frozen=True)
class Run:
    """One way of running one suite: how it ended, in how many seconds, test by test."""

    exit_code: int
    seconds: float
    ended: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Comparison:
    """One suite run every way; `differences` holds, by isolation level, what was not equal."""

    suite: str
    tests: int
    exit_codes: Mapping[str, int]
    seconds: Mapping[str, float]
    differences: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether every packed run ended as the plain one."""
        return not any(self.differences.values())


def fetch(suite: Suite, cache: Path) -> Path:
    """The suite's source distribution, downloaded once and checked against its checksum.

    pip is what reaches the index, so that its configuration (mirrors, proxies) is respected.
    """
    downloads = cache / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    archive = downloads / f"{suite.directory_name}.tar.gz"
    if not archive.exists():
        command([
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary",
            suite.name, "--dest", str(downloads), f"{suite.name}=={suite.version}",
        ])  # fmt: skip
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != suite.sha256:
        raise SuiteError(f"{archive} has checksum {found}, not the pinned {suite.sha256}")
    return archive


def unpack(archive: Path, cache: Path, suite: Suite) -> Path:
    """A fresh copy of the suite's sources: what an earlier run left there is gone."""
    sources = cache / "sources" / suite.name
    shutil.rmtree(sources, ignore_errors=True)
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):
            opened.extractall(sources, filter="data")
        else:  # Pythons before the filter came: the checksum vouches for the content
            opened.extractall(sources)
    return sources / suite.directory_name


def install(suite: Suite, archive: Path, cache: Path) -> Path:
    """The interpreter of the suite's environment, made when what goes into it has changed."""
    environment = cache / "environments" / suite.name
    python = environment / "bin" / "python"
    packages = [str(archive), "pytest", "pytest-xdist", *suite.requires, "--editable", str(ROOT)]
    wanted = json.dumps([sys.version, packages, (ROOT / "pyproject.toml").read_text()])
    stamp = environment / "installed.json"
    if not stamp.exists() or stamp.read_text() != wanted:
        try:
            install_with_uv(environment, packages)
        except (SuiteError, FileNotFoundError):
            # Not there, or not configured to reach an index that pip does reach.
            command([sys.executable, "-m", "venv", "--clear", environment])
            command([python, "-m", "pip", "install", "--quiet", *packages])
        stamp.write_text(wanted)
    return python


def install_with_uv(environment: Path, packages: Sequence[str]) -> None:
    """The same in a fraction of the time. FileNotFoundError: there is no uv."""
    beside = Path(sys.executable).with_name("uv")
    uv = beside if beside.exists() else "uv"
    command([uv, "venv", "--quiet", "--clear", "--seed", "--python", sys.executable, environment])
    command([uv, "pip", "install", "--quiet", "--python", environment / "bin/python", *packages])


def command(arguments: Sequence[str | Path]) -> None:
    """Run a preparation step; its output matters only when it fails."""
    done = subprocess.run(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        line = " ".join(str(argument) for argument in arguments)
        raise SuiteError(f"`{line}` ended with exit code {done.returncode}:\n{done.stdout}")


def log_of(suite: Suite, way: str, cache: Path) -> Path:
    """Where what pytest printed is kept."""
    return cache / "notes" / f"{suite.name}-{way}.log"


def run(python: Path, sources: Path, suite: Suite, way: str, cache: Path) -> Run:
    """Run the suite one way, from its own root, with its own configuration."""
    notes_directory = cache / "notes"
    notes_directory.mkdir(exist_ok=True)
    (notes_directory / "note_outcomes.py").write_text(NOTES_PLUGIN)
    notes = notes_directory / f"{suite.name}-{way}.json"
    notes.unlink(missing_ok=True)
    log = log_of(suite, way, cache)
    # What this very run was started with must not leak into the suite's.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "TONNAGE_", "COV_"))
    }
    started = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            [python, "-m", "pytest", "-p", "note_outcomes", "-p", "no:cacheprovider",
             *WAYS[way], *suite.tests],
            cwd=sources,
            env={
                **inherited,
                "PYTHONPATH": str(notes_directory),
                "NOTES_FILE": str(notes),
                "NOTES_PARENT": str(os.getpid()),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
    seconds = time.monotonic() - started
    if not notes.exists():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise SuiteError(f"{suite.name}, {way}: no outcomes (exit code {done.returncode})\n{tail}")
    return Run(done.returncode, seconds, json.loads(notes.read_text()))


def differences(plain: Run, other: Run) -> list[str]:
    """What ended otherwise than in the plain run, one line each; empty when nothing did."""
    found = [
        f"{nodeid}: plain {ending(plain.ended.get(nodeid))}, here {ending(other.ended.get(nodeid))}"
        for nodeid in sorted(plain.ended.keys() | other.ended.keys())
        if plain.ended.get(nodeid) != other.ended.get(nodeid)
    ]
    if plain.exit_code != other.exit_code:
        found.append(f"exit code: plain {plain.exit_code}, here {other.exit_code}")
    return found


def ending(noted: Sequence[str] | None) -> str:
    """One test's notes in words."""
    return "did not run" if noted is None else " then ".join(noted)


def compare(suite: Suite, cache: Path) -> Comparison:
    """Fetch, install and run one suite every way."""
    archive = fetch(suite, cache)
    python = install(suite, archive, cache)
    sources = unpack(archive, cache, suite)
    runs = {way: run(python, sources, suite, way, cache) for way in WAYS}
    return Comparison(
        suite=f"{suite.name} {suite.version}",
        tests=len(runs[PLAIN].ended),
        exit_codes={way: one.exit_code for way, one in runs.items()},
        seconds={way: round(one.seconds, 2) for way, one in runs.items()},
        differences={level: differences(runs[PLAIN], runs[level]) for level in PACKED},
    )


def table_row(comparison: Comparison) -> str:
    """One line of the table: times in seconds, `failed` where pytest-xdist cannot run the suite."""
    times = "".join(
        f"{'failed':>9}"
        if way == XDIST and comparison.exit_codes[XDIST] != comparison.exit_codes[PLAIN]
        else f"{comparison.seconds[way]:>9.2f}"
        for way in WAYS
    )
    equal = "yes" if comparison.equal else "NO"
    return f"{comparison.suite:<24}{comparison.tests:>7}{times}  {equal}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options of the command line; `suites` becomes a list of `Suite`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suites", help="names, separated by commas (default: all)")
    parser.add_argument("--quick", action="store_true", help="the two smallest suites")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the comparisons there")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where downloads stay")
    options = parser.parse_args(arguments)
    known = {suite.name: suite for suite in SUITES}
    if options.suites:
        names = options.suites.split(",")
        for name in names:
            if name not in known:
                parser.error(f"no suite {name!r}; there are {', '.join(known)}")
        options.suites = [known[name] for name in names]
    else:
        options.suites = [suite for suite in SUITES if suite.quick or not options.quick]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the chosen suites, print the table; 1 when a packed run ended otherwise."""
    options = parse(arguments)
    options.cache = options.cache.resolve()
    print(f"{'suite':<24}{'tests':>7}{''.join(f'{way:>9}' for way in WAYS)}  equal")
    comparisons = []
    for suite in options.suites:
        try:
            comparison = compare(suite, options.cache)
        except SuiteError as error:
            print(f"real_suites: {error}", file=sys.stderr)
            return 2
        comparisons.append(comparison)
        print(table_row(comparison), flush=True)
        for level, found in comparison.differences.items():
            for line in found[:SHOWN_DIFFERENCES]:
                print(f"    {level}: {line}")
            if len(found) > SHOWN_DIFFERENCES:
                print(f"    {level}: and {len(found) - SHOWN_DIFFERENCES} more")
            if found:
                print(f"    {level}: see {log_of(suite, level, options.cache)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in comparisons], indent=2) + "\n")
    return 0 if all(comparison.equal for comparison in comparisons) else 1


if __name__ == "__main__":
    sys.exit(main())
