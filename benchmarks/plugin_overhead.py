"""What the plugin costs a run that does not use it: installed against switched off.

    python benchmarks/plugin_overhead.py [--quick] [--json FILE]

5000 trivial tests with the plugin loaded, as pytest does by itself once Tonnage is installed,
against `-p no:tonnage`. Then the import of the plugin alone, in fresh interpreters that have
already imported pytest. Goals: at most 1.02 times the run, and under 30 ms for the import. On a
busy machine, look at the CPU time: wall time varies there by more than the difference.
"""

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from _side_by_side import Row, interleave, options, report, run_pytest, spread

IMPORT_GOAL_S = 0.030
TIME_IMPORT = """
import time, pytest
started = time.perf_counter()
import tonnage.plugin.entry
print(time.perf_counter() - started)
"""


def write_suite(directory: Path, tests: int, files: int = 10) -> None:
    """Write so many trivial tests over so many files."""
    (directory / "pytest.ini").write_text("[pytest]\n")
    for number in range(files):
        bodies = (f"def test_{case}():\n    pass\n" for case in range(tests // files))
        (directory / f"test_{number}.py").write_text("\n\n".join(bodies))


def time_import() -> float:
    """Seconds that importing the plugin takes once pytest is there."""
    done = subprocess.run(
        [sys.executable, "-c", TIME_IMPORT], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure both and print them."""
    chosen = options(__doc__.splitlines()[0])
    tests, repetitions = (1000, 3) if chosen.quick else (5000, 9)
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as scratch:
        directory = Path(scratch)
        write_suite(directory, tests)
        times = interleave(
            {
                "installed": partial(run_pytest, directory, tests),
                "off": partial(run_pytest, directory, tests, "-p", "no:tonnage"),
            },
            repetitions,
        )
    sides = "plugin installed, unused", "-p no:tonnage"
    rows = [
        Row(
            f"{tests} trivial tests, {what}",
            sides[0],
            [getattr(cost, name) for cost in times["installed"]],
            sides[1],
            [getattr(cost, name) for cost in times["off"]],
            at_most=1.02,
        )
        for what, name in (("wall time", "wall_s"), ("CPU time", "cpu_s"))
    ]
    imports_s = [time_import() for _ in range(2 * repetitions)]
    import_s = statistics.median(imports_s)
    report(rows, {"import_s": import_s}, chosen.json)
    print(
        f"import of the plugin\n  {1000 * import_s:.1f} ms   {spread(imports_s)}"
        f"   goal < {1000 * IMPORT_GOAL_S:.0f} ms"
        f"   {'met' if import_s < IMPORT_GOAL_S else 'NOT MET'}"
    )


if __name__ == "__main__":
    main()
