"""Workloads for the packing benchmark: read from a CSV, or drawn from a seed."""

import csv
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage.schedule.estimate import estimate_s
from tonnage.schedule.model import Gpu, Job, Machine
from tonnage.units import mib_from_gib


@dataclass(frozen=True)
class Workload:
    """Jobs with the estimates a scheduler sees, and the durations (s) that only ending reveals."""

    jobs: tuple[Job, ...]
    durations_s: Mapping[str, float]

    def with_history(self, error: float, seed: int) -> "Workload":
        """The same with estimates off by at most `error` of the true durations, either way."""
        random_ = random.Random(seed)
        return replace(
            self,
            jobs=tuple(
                replace(
                    job,
                    estimate_s=self.durations_s[job.id] * random_.uniform(1 - error, 1 + error),
                )
                for job in self.jobs
            ),
        )

    def with_fillers_at(self, seconds: float) -> "Workload":
        """The same with every job that needs no GPU taking so long; its timeout stays."""
        fillers = {job.id: seconds for job in self.jobs if not job.gpus}
        return replace(self, durations_s={**self.durations_s, **fillers})


def machine(gpus: int, capacity_gib: float, slots: int, margin: float) -> Machine:
    """A machine with equal cards; jobs in company leave `margin` of a card free."""
    capacity_mib = mib_from_gib(capacity_gib)
    cap_mib = int(capacity_mib * (1 - margin))
    return Machine(tuple(Gpu(f"gpu{index}", capacity_mib, cap_mib) for index in range(gpus)), slots)


def read_csv(path: Path) -> Workload:
    """Columns name, vram_gib, runtime_s, timeout_s and optionally gpus, cpus."""
    jobs: list[Job] = []
    durations_s: dict[str, float] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for order, row in enumerate(csv.DictReader(file)):
            vram_mib = mib_from_gib(float(row["vram_gib"]))
            timeout_s = float(row["timeout_s"]) if row["timeout_s"] else None
            job = Job(
                id=row["name"],
                order=order,
                gpus=int(row.get("gpus") or bool(vram_mib)),
                vram_mib=vram_mib,
                cpus=int(row.get("cpus") or 1),
                estimate_s=estimate_s((), timeout_s),
            )
            jobs.append(job)
            durations_s[job.id] = float(row["runtime_s"])
    return Workload(tuple(jobs), durations_s)


def synthetic(seed: int) -> tuple[Workload, Machine]:
    """A drawn suite: 1 to 8 GPUs, gangs, fillers, estimates off by up to half, either way.

    The shares follow published suites: most tests want one GPU, one in eight a gang of two and a
    few of four; memory is spread around a third of a card; fillers are many and short.
    """
    random_ = random.Random(seed)
    gpus = random_.choice((1, 2, 4, 8))
    capacity_gib = random_.choice((22, 24, 48, 80))
    jobs: list[Job] = []
    durations_s: dict[str, float] = {}

    def add(count: int, vram_gib: float, seconds: float) -> None:
        job = Job(
            id=f"test{len(jobs)}",
            order=len(jobs),
            gpus=count,
            vram_mib=mib_from_gib(vram_gib),
            estimate_s=seconds * random_.uniform(0.5, 1.5),
        )
        jobs.append(job)
        durations_s[job.id] = seconds

    for _ in range(gpus * random_.randint(15, 40)):
        wanted = random_.choices((1, 2, 4), weights=(84, 12, 4))[0]
        share = min(0.95, max(0.05, random_.lognormvariate(-1.2, 0.6)))
        add(min(wanted, gpus), share * capacity_gib, random_.lognormvariate(4.2, 0.6))
    for _ in range(random_.randint(0, 200)):
        add(0, 0.0, random_.uniform(1, 30))
    random_.shuffle(jobs)
    jobs = [replace(job, order=order) for order, job in enumerate(jobs)]
    slots = gpus * random_.choice((4, 8))
    margin = random_.choice((0.05, 0.15))
    return Workload(tuple(jobs), durations_s), machine(gpus, capacity_gib, slots, margin)
