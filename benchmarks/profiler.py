"""The profiler on tests whose use of memory is known: errors, phases, probes, against bisection.

    python benchmarks/profiler.py [--quick] [--json FILE] [--gpus nvml]

Every test of benchmarks/profiler_shapes.py is searched twice, in turns and with the same probes:
by the profiler, and by plain bisection from 5% to 95% with a tolerance of 5% (one validation run
and five bisections). Goal: at most 0.6 of bisection's wall time, and a bound that is no worse. On a
machine with a GPU, `--gpus nvml` does the same with torch, where a context comes on top of what
a test allocates.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tonnage.devices.open import open_devices  # noqa: E402
from tonnage.devices.spec import parse_gpu_spec  # noqa: E402
from tonnage.profile.measure import Bench, conclude  # noqa: E402
from tonnage.profile.model import (  # noqa: E402
    Cap,
    CapKind,
    ProbeResult,
    ProbeSettings,
    SearchResult,
    Verdict,
)
from tonnage.profile.probe import Subject  # noqa: E402
from tonnage.profile.search import Ended, NextProbe, next_step  # noqa: E402
from tonnage.profile.space import SearchSpace, space_for  # noqa: E402

GOAL = 0.6
QUICK = ("steady", "spike", "teardown")


@dataclass(frozen=True)
class Shape:
    """A test's highest use in all and the highest of one process, which torch's cap limits."""

    gib: float
    process_gib: float


SHAPES = {
    "steady": Shape(4, 4),
    "spike": Shape(6, 6),
    "staircase": Shape(8, 8),
    "cache": Shape(12, 12),
    "leak": Shape(5, 3),
    "two_processes": Shape(8, 5),
    "child_processes": Shape(6, 2),
    "teardown": Shape(6, 6),
}


Search = Generator[Cap, ProbeResult, SearchResult]
"""Asks for a probe at one cap after another, and returns what they come to."""


def least(space: SearchSpace) -> Search:
    """The profiler's own search."""
    history: list[ProbeResult] = []
    while isinstance(step := next_step(space, history), NextProbe):
        history.append((yield step.cap))
    return conclude(space, history, step)


def bisection(space: SearchSpace) -> Search:
    """The largest cap, then half-way between the bounds until they are near."""
    low, high = space.low, space.high
    probes = [(yield space.cap(high))]
    while probes[0].passed and high - low > space.tolerance:
        middle = (low + high) / 2
        probes.append((yield space.cap(middle)))
        low, high = (low, middle) if probes[-1].passed else (middle, high)
    return conclude(space, probes, Ended(Verdict.FOUND))


def side_by_side(bench: Bench, subject: Subject, *searches: Search) -> list[SearchResult]:
    """Run the searches in turns, a probe each, so that a busy machine slows all of them."""
    results: dict[int, SearchResult] = {}
    wanted = {number: next(search) for number, search in enumerate(searches)}
    while wanted:
        for number, cap in list(wanted.items()):
            try:
                wanted[number] = searches[number].send(bench.probe(subject, cap))
            except StopIteration as ended:
                results[number] = ended.value
                del wanted[number]
    return [results[number] for number in sorted(results)]


def require_torch() -> None:
    """End with a sentence where the shapes could not allocate on a real GPU."""
    try:
        import torch
    except ImportError as error:
        sys.exit(f"on a real GPU the shapes allocate with torch, which cannot be imported: {error}")
    if not torch.cuda.is_available():
        sys.exit(
            f"on a real GPU the shapes allocate with torch, and torch {torch.__version__} sees none"
        )


def compare(bench: Bench, name: str, shape: Shape, is_simulated: bool) -> dict[str, object]:
    """One test, searched in both ways."""
    [gpu] = [each for each in bench.devices.gpus if each.uuid in bench.gpus]
    space = space_for(CapKind.FRACTION, gpu.capacity_mib, is_simulated=is_simulated)
    subject = Subject(f"benchmarks/profiler_shapes.py::test_{name}", (), ROOT)
    found, plain = side_by_side(bench, subject, least(space), bisection(space))
    if found.verdict is not Verdict.FOUND:
        sys.exit(f"{name}: {found.verdict.value}: {found.probes[-1].reason}")
    first = found.probes[0]
    ours_s = sum(probe.total_s for probe in found.probes)
    plain_s = sum(probe.total_s for probe in plain.probes)
    capped_gib = shape.gib if is_simulated else shape.process_gib
    return {
        "shape": name,
        "verdict": found.verdict.value,
        "true_mib": round(shape.gib * 1024),
        "sampled_peak_mib": first.peak_mib,
        "counted_peak_mib": first.counted_peak_mib,
        "reported_peak_mib": found.peak_mib,
        "leak_mib": first.leak_mib,
        "method": first.method,
        "phases": [phase.name.value for phase in first.phases],
        "least_share": found.lowest_passing.value,
        "bisected_share": plain.lowest_passing.value,
        "true_share": capped_gib * 1024 / gpu.capacity_mib,
        "probes": len(found.probes),
        "bisection_probes": len(plain.probes),
        "seconds": ours_s,
        "bisection_seconds": plain_s,
        "ratio": ours_s / plain_s,
    }


def lines(row: dict[str, object]) -> str:
    """One row as it is printed."""
    error = (row["sampled_peak_mib"] or 0) - row["true_mib"]
    return (
        f"{row['shape']:<16} peak {row['true_mib']:>6} MiB, sampled {error:+6d}, "
        f"leak {row['leak_mib']:>5}   least {row['least_share']:6.1%} "
        f"(true {row['true_share']:5.1%}, bisection {row['bisected_share']:5.1%})   "
        f"probes {row['probes']} / {row['bisection_probes']}   "
        f"{row['seconds']:5.1f} s / {row['bisection_seconds']:5.1f} s = {row['ratio']:.2f}\n"
        f"{'':<16} {row['verdict']}, {row['method']}: {', '.join(row['phases'])}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--gpus", default="sim:1x24", help="simulated (sim:1x24) or nvml")
    options = parser.parse_args()

    devices = open_devices(parse_gpu_spec(options.gpus), os.environ)
    is_simulated = bool(devices.base_environment)
    if not is_simulated:
        require_torch()
    os.environ["PROFILE_SHAPES"] = "simulated" if is_simulated else "torch"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    try:
        settings = ProbeSettings(baseline_s=0.5, teardown_s=3.0, ends_early=True)
        bench = Bench(devices, tuple(gpu.uuid for gpu in devices.gpus[:1]), settings)
        print(f"{devices.note}; sampled every {settings.interval_s:g} s")
        rows = []
        for name, shape in SHAPES.items():
            if not options.quick or name in QUICK:
                rows.append(compare(bench, name, shape, is_simulated))
                print(lines(rows[-1]), flush=True)
    finally:
        devices.close()

    ratio = sum(row["seconds"] for row in rows) / sum(row["bisection_seconds"] for row in rows)
    probes = statistics.mean(row["probes"] / row["bisection_probes"] for row in rows)
    above = statistics.mean(row["least_share"] - row["true_share"] for row in rows)
    bisected = statistics.mean(row["bisected_share"] - row["true_share"] for row in rows)
    print(
        f"\nwall time / bisection's: {ratio:.2f}   goal <= {GOAL:g}   "
        f"{'met' if ratio <= GOAL else 'NOT MET'}\n"
        f"probes / bisection's: {probes:.2f} in the mean\n"
        f"least cap above the true one, in the mean: {above:.1%} of the card, "
        f"bisection {bisected:.1%}"
    )
    if options.json:
        options.json.write_text(json.dumps({"gpus": devices.note, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
