"""From what a test needs to what the scheduler packs: one job per test. Pure.

Here the run's policies meet the requirement: which process a test gets, what an undeclared test
is given, which cards its marks allow.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from tonnage.devices.backend import DeviceGpu
from tonnage.execute.messages import CollectedTest
from tonnage.execute.undeclared import Undeclared, given_to_undeclared
from tonnage.markers.requirement import Isolation, Requirement
from tonnage.record.events import GpuDescription
from tonnage.record.measured import Measured
from tonnage.schedule.bounds import unplaceable
from tonnage.schedule.estimate import estimate_s
from tonnage.schedule.model import Gpu, Job, Machine


@dataclass(frozen=True, slots=True)
class RunTest:
    """One collected test as the run sees it. `problem`: why it cannot run, found before it did.

    `in_worker`: a worker runs it, after and before any other tests. `batch` names the tests that
    share a process with it, in order; empty: none. `is_fresh`: it needs a new interpreter, as
    forking is unsafe for it. `has_history`: its estimate comes from its own earlier passes.
    """

    index: int
    node_id: str
    job: Job
    requirement: Requirement
    in_worker: bool = False
    batch: str = ""
    problem: str | None = None
    is_fresh: bool = False
    has_history: bool = False
    limit_s: float | None = None  # it is ended from outside when it outlives this

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
            each,
            gpus,
            isolation=isolation,
            undeclared=undeclared,
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
    collected: CollectedTest,
    gpus: Sequence[GpuDescription],
    *,
    isolation: Isolation | None,
    undeclared: Undeclared,
    is_fresh: bool = False,
    measured: Measured | None = None,
) -> RunTest:
    """The job of one test, and which process it gets.

    An undeclared test gets what execute.undeclared says. `measured`: what is known of the test.
    """
    requirement, problem = collected.requirement, collected.problem
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
    level = requirement.isolation or isolation
    batch = _batch(collected, level)
    if batch and is_fresh:
        batch += f" in {collected.path}"  # a new interpreter collects one file
    plain = count == 0 and job.cpus == 1 and not job.memory_mib and not job.exclusive
    return RunTest(
        index=index,
        node_id=collected.node_id,
        job=job,
        requirement=requirement,
        in_worker=plain and not batch and level != "test" and not is_fresh,
        batch=batch,
        problem=problem,
        is_fresh=is_fresh,
        has_history=bool(durations_s),
        limit_s=requirement.timeout_s or collected.default_timeout_s,
    )


def _batch(collected: CollectedTest, level: Isolation | None) -> str:
    """With whom the test shares a process at this level; empty: with no certain others.

    A group that the test names counts at every level but `test`. At level `group`, tests that use
    the same expensive fixture share one, too.
    """
    if level == "test":
        return ""
    if collected.requirement.group is not None:
        return f"group {collected.requirement.group}"
    if level == "group" and collected.expensive_fixture:
        return f"fixture {collected.expensive_fixture}"
    return f"module {collected.path}" if level == "module" else ""
