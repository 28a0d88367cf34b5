"""Whose memory is it: a device reading divided among attempts and everyone else. Pure.

Per GPU, the best way that the reading allows:

    simulated      every process is listed with its exact memory
    process tree   the driver lists processes, and each is followed up to an attempt's leader
    device delta   the driver's pids mean nothing here (a container), or it tells no memory per
                   process: only the card's total is known, so a lone attempt is charged with
                   what is above the baseline, and attempts in company with nothing
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tonnage.devices.backend import DeviceReading, ProcessUse

SIMULATED = "simulated"
PROCESS_TREE = "process tree"
DEVICE_DELTA = "device delta"


@dataclass(frozen=True, slots=True)
class Relation:
    """One process: its parent's pid and the pid of its session's leader."""

    parent: int
    session: int


@dataclass(frozen=True, slots=True)
class Attribution:
    """One reading, divided. All memory is MiB by GPU UUID.

    `by_attempt` holds what each attempt was seen to use; an attempt is absent where its share
    cannot be told. `foreign_mib` is what everybody else holds; a GPU is absent when the driver
    told nothing about it. `methods` says per GPU how this was obtained. `untold` is, by GPU, the
    attempts with a reservation there whose memory this reading says nothing about; one that is
    neither here nor in `by_attempt` was seen to hold none.
    """

    by_attempt: dict[str, dict[str, int]] = field(default_factory=dict)
    foreign_mib: dict[str, int] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    untold: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The least certain method used on any GPU."""
        used = set(self.methods.values())
        return next((each for each in (DEVICE_DELTA, PROCESS_TREE) if each in used), SIMULATED)


def attribute(
    reading: DeviceReading,
    leaders: Mapping[int, str],
    relations: Mapping[int, Relation],
    reserved: Mapping[str, Mapping[str, int]] | None = None,
    baseline_mib: Mapping[str, int] | None = None,
    ended: Collection[str] = (),
) -> Attribution:
    """Divide a reading.

    `leaders` maps the pid of each attempt's first process, a session leader, to the attempt.
    `relations` covers the reading's processes and their ancestors. `reserved` is attempt ->
    GPU -> MiB set aside, `baseline_mib` what was in use on each GPU before the run put anything
    there; both matter only where processes cannot be told apart. `ended`: attempts whose last
    process is gone.
    """
    result = Attribution()
    for uuid, used_mib in reading.used_mib.items():
        here = {attempt: gpus[uuid] for attempt, gpus in (reserved or {}).items() if uuid in gpus}
        processes = reading.processes.get(uuid)
        if reading.source == SIMULATED:
            share = _by_ledger(processes, leaders, relations)
        elif processes is not None and _can_be_matched(processes, leaders, relations):
            share = _by_process(used_mib, processes, leaders, relations)
        else:
            share = _by_delta(used_mib, here, (baseline_mib or {}).get(uuid, 0), ended)
        result.methods[uuid] = share.method
        untold = frozenset(here) if share.foreign_mib is None else share.untold
        if untold:
            result.untold[uuid] = untold
        for attempt, mib in share.own.items():
            result.by_attempt.setdefault(attempt, {})[uuid] = mib
        if share.foreign_mib is not None:
            result.foreign_mib[uuid] = share.foreign_mib
    return result


@dataclass(frozen=True, slots=True)
class _Share:
    """One GPU, divided: MiB of each attempt, MiB of all others (None: no reading)."""

    own: dict[str, int]
    foreign_mib: int | None
    method: str
    untold: frozenset[str] = frozenset()


def _by_ledger(
    processes: Collection[ProcessUse] | None,
    leaders: Mapping[int, str],
    relations: Mapping[int, Relation],
) -> _Share:
    if processes is None:
        return _Share({}, None, SIMULATED)
    own = _own_memory(processes, leaders, relations)
    # A stranger without relations has ended since the reading, and its memory with it.
    strangers = [
        process
        for process in processes
        if process.pid in relations and _attempt_of(process.pid, leaders, relations) is None
    ]
    return _Share(own, sum(process.used_mib or 0 for process in strangers), SIMULATED)


def _by_process(
    used_mib: int | None,
    processes: Collection[ProcessUse],
    leaders: Mapping[int, str],
    relations: Mapping[int, Relation],
) -> _Share:
    own = _own_memory(processes, leaders, relations)
    # The card's own total is preferred: the driver and processes in other containers use memory
    # and are on no list.
    if used_mib is None:
        used_mib = sum(process.used_mib or 0 for process in processes)
    return _Share(own, max(0, used_mib - sum(own.values())), PROCESS_TREE)


def _by_delta(
    used_mib: int | None,
    reserved: Mapping[str, int],
    baseline_mib: int,
    ended: Collection[str],
) -> _Share:
    """`reserved` is MiB by attempt, for the attempts on this GPU."""
    if used_mib is None:
        return _Share({}, None, DEVICE_DELTA)
    if not reserved:
        return _Share({}, used_mib, DEVICE_DELTA)
    # What was there before is taken to be there still; what exceeds every reservation together
    # cannot be explained by tests that keep to theirs.
    before_mib = min(baseline_mib, used_mib)
    foreign_mib = max(before_mib, used_mib - sum(reserved.values()))
    if len(reserved) == 1:
        return _Share(dict.fromkeys(reserved, used_mib - before_mib), foreign_mib, DEVICE_DELTA)
    # Nothing tells how much each has. But if those that still run can account for all of it, then
    # what the others had is back.
    running = {attempt: mib for attempt, mib in reserved.items() if attempt not in ended}
    is_back = used_mib - before_mib <= sum(running.values())
    untold = frozenset(running if is_back else reserved)
    return _Share({}, foreign_mib, DEVICE_DELTA, untold)


def _can_be_matched(
    processes: Collection[ProcessUse],
    leaders: Mapping[int, str],
    relations: Mapping[int, Relation],
) -> bool:
    """Whether the listed pids are ours to look up and carry memory.

    One pid found is enough: another may have ended since. None found, or an empty list, is what
    a container sees whose driver counts pids on the host.
    """
    return all(process.used_mib is not None for process in processes) and any(
        process.pid in relations or process.pid in leaders for process in processes
    )


def _own_memory(
    processes: Collection[ProcessUse],
    leaders: Mapping[int, str],
    relations: Mapping[int, Relation],
) -> dict[str, int]:
    own: dict[str, int] = {}
    for process in processes:
        attempt = _attempt_of(process.pid, leaders, relations)
        if attempt is not None:
            own[attempt] = own.get(attempt, 0) + (process.used_mib or 0)
    return own


def _attempt_of(
    pid: int, leaders: Mapping[int, str], relations: Mapping[int, Relation]
) -> str | None:
    """Follow parents, and at each the session: a child whose parent died keeps its session."""
    seen: set[int] = set()
    while pid not in seen:
        seen.add(pid)
        if pid in leaders:
            return leaders[pid]
        relation = relations.get(pid)
        if relation is None:
            return None
        if relation.session in leaders:
            return leaders[relation.session]
        pid = relation.parent
    return None
