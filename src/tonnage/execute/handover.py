"""What plugins keep in the process in which a test ran, handed over before that process exits.

A test process is a fork that ends without pytest's end of session, which belongs to the whole run:
its hooks would stop what other tests still use. Most plugins do not mind, since what they know
travels on the reports. The few that collect on their own are named here, each with what it takes;
what they publish travels as pytest-xdist's `workeroutput` does, to the same hooks.
"""

import json
import sys
from typing import Any

import pytest

from tonnage.execute.plain_data import to_text

# Where pytest-benchmark's measurements travel in `workeroutput`.
BENCHMARKS = "tonnage_benchmarks"


def take_up(config: pytest.Config) -> None:
    """After the fork: give plugins of their own what the processes must not share."""
    # pytest-rerunfailures counts over all processes through a connection; one each.
    database: Any = getattr(config, "failures_db", None)
    if hasattr(database, "sock"):
        given = config.workerinput  # type: ignore[attr-defined]
        keys = [key for key in ("sock_port", "statusdb_token") if key in given]
        config.failures_db = type(database)(*map(given.get, keys))  # type: ignore[attr-defined]


def hand_over(session: pytest.Session) -> str | None:
    """After the last test: what this process's plugins publish, as text; None when nothing."""
    config = session.config
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]
    inherited = dict(output)
    syrupy = config.pluginmanager.get_plugin("syrupy")
    if syrupy is not None and config._syrupy._assertions:  # type: ignore[attr-defined]
        # Writes the snapshots of this process and publishes which were used.
        syrupy.pytest_sessionfinish(session=session, exitstatus=0)
    benchmarks = getattr(getattr(config, "_benchmarksession", None), "benchmarks", None)
    if benchmarks:
        output[BENCHMARKS] = _benchmark_data(benchmarks)
    return None if output == inherited else to_text(output)


def save_coverage() -> None:
    """Save what coverage.py measured in this process: leaving it without exit does not."""
    coverage = sys.modules.get("coverage")
    measuring = None if coverage is None else coverage.Coverage.current()
    if measuring is not None:
        measuring.stop()
        measuring.save()


def _benchmark_data(benchmarks: Any) -> list[dict[str, Any]]:
    as_text: Any = sys.modules["pytest_benchmark.utils"].safe_dumps
    return [
        {
            **json.loads(as_text(each.as_dict(include_data=True))),
            "has_error": each.has_error,
        }
        for each in benchmarks
        if each
    ]
