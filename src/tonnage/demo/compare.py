"""What the demo says after its run: its makespan beside the other ways to run the same job."""

from collections.abc import Mapping
from typing import Any

from tonnage.demo.workload import OBSERVED_S, DemoTest
from tonnage.units import format_duration


def comparison_lines(
    totals: Mapping[str, Any], tests: tuple[DemoTest, ...], time_scale: float
) -> list[str]:
    """The comparison. `totals` is `otherData` of the trace that the run left."""
    makespan_s = float(totals["makespan_s"])
    one_by_one_s = sum(test.runtime_s for test in tests) * time_scale
    rows = [("packed (measured now)", makespan_s)]
    if totals["lower_bound_s"] is not None:
        rows.append(
            ("lower bound: no schedule of these tests is shorter", float(totals["lower_bound_s"]))
        )
    rows += [
        ("one at a time (measured now: sum of the tests)", float(totals["sum_s"])),
        ("one at a time (published times, scaled)", one_by_one_s),
        ("as its own project packed it on a real L4 (published, scaled)", OBSERVED_S * time_scale),
    ]
    width = max(len(title) for title, _ in rows)
    lines = [f"The job at {time_scale:g} of its time:"]
    lines += [f"  {title:<{width}}  {format_duration(seconds):>8}" for title, seconds in rows]
    if makespan_s > 0:
        lines.append(f"  {float(totals['sum_s']) / makespan_s:.1f} times as fast as one at a time")
    lines.append(
        "The published run had three more tests, and started an interpreter and real engines; "
        "here tests sleep. It is context, no contest."
    )
    return lines
