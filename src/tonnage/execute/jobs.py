"""From what a test needs to what the scheduler packs: one job per test. Pure.

Here the run's policies meet the requirement: which process a test gets, what an undeclared test
is given, which cards its marks allow.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tonnage.devices.backend import DeviceGpu
from tonnage.execute.messages import CollectedTest
from tonnage.execute.undeclared import Undeclared, given_to_undeclared
from tonnage.markers.requirement import Requirement
from tonnage.record.events import GpuDescription
from tonnage.record.measured import Measured
from tonnage.schedule.bounds import unplaceable
from tonnage.schedule.estimate import estimate_s
from tonnage.schedule.model import Gpu, Job, Machine

Isolation = Literal["test", "worker"]


@dataclass(frozen=True, slots=True)
class RunTest:
    """One collected test as the run sees it. `problem`: why it cannot run, found before it did.

    `shares_process`: it may run in a worker, after and before other tests. `is_fresh`: it needs a
    new interpreter, as forking is unsafe for it. `has_history`: its estimate comes from its own
    earlier passes.
    """

    index: int
    node_id: str
    job: Job
    requirement: Requirement
    shares_process: bool
    problem: str | None = None
    is_fresh: bool = False
    has_history: bool = False

    @property
    def function(self) -> str:
        """The test function: what the cases of one parametrisation have in common."""
        return self.node_id.partition("[")[0]

    @property
    def is_undeclared(self) -> bool:
        """Whether its marks say nothing about hardware."""
        return self.requirement.gpus is None and self.problem is None


def describe_gpus(gpus: Sequence[DeviceGpu]) -> tuple[GpuDescription, ...]:
    """The devices as events name them."""
    return tuple(
        GpuDescription(gpu.uuid, f"GPU {gpu.index}", gpu.name, gpu.capacity_mib) for gpu in gpus
    )


def machine_of(
    gpus: Sequence[GpuDescription], slots: int, memory_mib: int | None, margin: float
) -> Machine:
    """The machine the scheduler packs; tests that share a card leave `margin` of it free."""
    return Machine(
        gpus=tuple(
            Gpu(gpu.uuid, gpu.capacity_mib, int(gpu.capacity_mib * (1 - margin))) for gpu in gpus
        ),
        slots=slots,
        memory_mib=memory_mib,
    )


def run_tests(
    collected: Sequence[CollectedTest],
    gpus: Sequence[GpuDescription],
    machine: Machine,
    *,
    isolation: Isolation | None,
    undeclared: Undeclared,
    forkable: Container[int] | None = None,
    measured: Mapping[str, Measured] | None = None,
) -> list[RunTest]:
    """The jobs of a collection. `forkable`: indices that need no new interpreter; None: all.
    `measured`: what earlier runs measured, by node id.

    A test that cannot run on this machine but would skip itself is let run, without anything, to
    do so.
    """
    tests = []
    for index, each in enumerate(collected):
        test = run_test(
            index,
            each.node_id,
            each.requirement,
            gpus,
            isolation=isolation,
            undeclared=undeclared,
            problem=each.problem,
            is_fresh=forkable is not None and index not in forkable,
            measured=(measured or {}).get(each.node_id),
        )
        if each.skips and unplaceable(test.job, machine):
            nothing = Job(test.job.id, index, estimate_s=test.job.estimate_s)
            test = replace(test, job=nothing)
        tests.append(test)
    return tests


def run_test(
    index: int,
    node_id: str,
    requirement: Requirement,
    gpus: Sequence[GpuDescription],
    *,
    isolation: Isolation | None,
    undeclared: Undeclared,
    problem: str | None = None,
    is_fresh: bool = False,
    measured: Measured | None = None,
) -> RunTest:
    """The job of one test.

    `isolation` None: tests that need a GPU get their own process, the others share workers. An
    undeclared test gets what execute.undeclared says. `measured`: what is known of the test.
    """
    count, vram_mib, allowed = requirement.gpus, requirement.reserved_mib, None
    durations_s = () if measured is None else measured.durations_s
    if count is None:
        if undeclared == "error" and problem is None:
            problem = (
                'declares no hardware (undeclared = "error"): '
                "mark it gpu_0, or with the number of GPUs it needs"
            )
        given = given_to_undeclared(undeclared, gpus, measured)
        count, vram_mib, allowed = given.gpus, given.vram_mib, given.allowed
    if count and requirement.gpu_names:
        allowed = frozenset(gpu.uuid for gpu in gpus if requirement.allows_card(gpu.name))
    job = Job(
        id=str(index),
        order=index,
        gpus=count,
        vram_mib=vram_mib if count else 0,
        cpus=requirement.cpus,
        memory_mib=requirement.memory_mib,
        exclusive=requirement.exclusive,
        allowed_gpus=allowed,
        estimate_s=estimate_s(durations_s, requirement.timeout_s),
    )
    plain = count == 0 and job.cpus == 1 and not job.memory_mib and not job.exclusive
    return RunTest(
        index=index,
        node_id=node_id,
        job=job,
        requirement=requirement,
        shares_process=plain and isolation != "test" and not is_fresh,
        problem=problem,
        is_fresh=is_fresh,
        has_history=bool(durations_s),
    )
