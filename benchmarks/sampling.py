"""What sampling costs: CPU seconds per second of sampling, against one core.

    python benchmarks/sampling.py [--quick] [--json FILE]

Samples 8 GPUs at 20 Hz with the real sampler, over the NVML backend on a compiled stand-in for
the driver library (whose own file reading is charged too) and over simulated cards. Each card has
a process with memory on it. Goal: at most 1% of one core.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fake_nvml import FakeNvml, compile_fake_nvml  # noqa: E402

from tonnage.clock import SystemClock  # noqa: E402
from tonnage.devices.open import open_devices  # noqa: E402
from tonnage.devices.sampler import DeviceReading, Sampler  # noqa: E402
from tonnage.devices.spec import parse_gpu_spec  # noqa: E402

GPUS = 8
RATE_HZ = 20
GOAL = 0.01

HOLDER = """
import sys
from tonnage.testkit import simgpu
simgpu.allocate(1, device=int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def measure(spec: str, seconds: float) -> dict[str, float]:
    """Sample for a while in this process, and say what it cost."""
    environ = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    devices = open_devices(parse_gpu_spec(spec), environ)
    assert len(devices.gpus) == GPUS, devices.note
    holders = []
    for index in range(GPUS if devices.base_environment else 0):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environ, **devices.base_environment},
        )
        holder.stdout.readline()
        holders.append(holder)

    readings: list[DeviceReading] = []
    uuids = [gpu.uuid for gpu in devices.gpus]
    sampler = Sampler(devices.backend, uuids, 1 / RATE_HZ, readings.append, SystemClock())
    sampler.read_now()  # the first call loads what later ones reuse
    cpu_s, wall_s = time.process_time(), time.monotonic()
    sampler.start()
    time.sleep(seconds)
    sampler.stop()
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s

    assert all(reading.processes[uuid] for reading in readings for uuid in uuids)
    for holder in holders:
        holder.communicate()
    devices.close()
    return {
        "cpu_s_per_s": cpu_s / wall_s,
        "readings_per_s": len(readings) / wall_s,
        "cpu_ms_per_reading": 1000 * cpu_s / len(readings),
    }


def measure_in_subprocess(spec: str, seconds: float, environ: dict[str, str]) -> dict[str, float]:
    """Measure in a fresh process, which is when the loader looks for the driver library."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", spec, "--seconds", str(seconds)],
        env={**os.environ, **environ},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seconds a side instead of 15")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.seconds)))
        return

    seconds = 2.0 if options.quick else 15.0
    with tempfile.TemporaryDirectory() as directory:
        machine = FakeNvml(compile_fake_nvml(Path(directory)), Path(directory) / "state")
        for index in range(GPUS):
            machine.gpu(f"GPU-{index}", 24576, used_mib=1024)
            machine.process(index, pid=100 + index, mib=1024)
        results = {
            "nvml": measure_in_subprocess("nvml", seconds, machine.environment),
            "simulated": measure_in_subprocess(f"sim:{GPUS}x24", seconds, {}),
        }

    print(f"{GPUS} GPUs at {RATE_HZ} Hz for {seconds:.0f} s, share of one core (goal {GOAL:.0%}):")
    for name, result in results.items():
        print(
            f"  {name:10} {result['cpu_s_per_s']:.2%}"
            f"   {result['cpu_ms_per_reading']:.3f} ms a reading"
            f"   {result['readings_per_s']:.1f} readings/s"
            f"   {result['cpu_s_per_s'] / GOAL:.2f} x the goal"
        )
    if options.json:
        figures = {"gpus": GPUS, "rate_hz": RATE_HZ, "seconds": seconds, "results": results}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
