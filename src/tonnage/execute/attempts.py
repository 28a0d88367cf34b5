"""The attempts in hand: what each has reported and used, and how its end is told.

The state decides what happens to a test; here its reports are gathered until it is known how the
attempt counts, then events and reports go to the run's listener.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tonnage.execute import happenings, messages
from tonnage.execute.child import Places
from tonnage.execute.endings import dirty_end, why_lost
from tonnage.execute.jobs import RunTest
from tonnage.execute.out_of_memory import says_out_of_memory
from tonnage.execute.output import stacks, tail
from tonnage.execute.verdict import (
    as_rerun,
    made_up_reports,
    outcome_of,
    phase_in_hand,
    reason_of,
    reruns_of,
)
from tonnage.record import events
from tonnage.record.outcomes import Outcome
from tonnage.units import format_gib

Location = tuple[str, int | None, str]

_OOM_LOOK_S = 1.0

RETRIED_ALONE = "retried alone: shared-GPU out-of-memory"


class Audience(Protocol):
    """Who is told about attempts."""

    def on_event(self, event: events.Event) -> None:
        """Something happened."""

    def on_reports(self, node_id: str, location: Location, reports: Sequence[Any]) -> None:
        """A test is over; these are the reports of all its attempts, in order."""


@dataclass(slots=True)
class _Unit:
    """One test process: its pid, and the test in hand."""

    start: happenings.StartUnit
    latest: int  # the test in hand, or the last that was
    pid: int | None = None
    test: int | None = None
    began_s: float = 0.0
    reports: list[Any] = field(default_factory=list)
    peak_mib: int | None = None
    method: str | None = None
    told_to_end: bool = False


class Attempts:
    """The attempts of one run.

    `places_of` says where a unit keeps its output, `oom_kills` how many processes the kernel has
    killed so far for want of host memory.
    """

    def __init__(
        self,
        audience: Audience,
        tests: Sequence[RunTest],
        locations: Sequence[Location],
        places_of: Callable[[int, int], Places],
        oom_kills: Callable[[], int | None],
    ) -> None:
        self._audience = audience
        self._tests = tests
        self._locations = locations
        self._places_of = places_of
        self._units: dict[int, _Unit] = {}
        self._earlier: dict[int, list[Any]] = {}  # reports of a test's attempts that do not count
        self._count_oom_kills = oom_kills
        self._oom_kills = oom_kills()
        self._oom_seen_s = 0.0
        self.durations_s: dict[str, float] = {}  # by job, of the attempts that counted

    # -------------------------------------------------------------- units

    def start(self, start: happenings.StartUnit) -> int:
        """A unit is about to start; which attempt of its tests it is."""
        self._units[start.unit] = _Unit(start, latest=start.tests[0])
        return self._number(start.tests[0])

    def started(self, unit: int, pid: int) -> None:
        """The unit's process is there."""
        self._units[unit].pid = pid

    def leaders(self) -> dict[int, int]:
        """The units by the pid of their process."""
        return {unit.pid: number for number, unit in self._units.items() if unit.pid}

    def forget(self, is_held: Callable[[int], bool]) -> None:
        """Let go of units that hold nothing any more."""
        for number in [number for number in self._units if not is_held(number)]:
            del self._units[number]

    def saw_memory(self, by_unit: Mapping[int, Mapping[str, int]], method: str) -> None:
        """What each unit was just seen to use: MiB by GPU."""
        for number, used in by_unit.items():
            unit = self._units.get(number)
            if unit is not None and unit.test is not None and any(used.values()):
                unit.peak_mib = max(unit.peak_mib or 0, *used.values())
                unit.method = method

    def used_no_gpu(self, number: int) -> None:
        """The test in hand is known to have left the GPUs alone, though no reading says so."""
        unit = self._units[number]
        if unit.start.gpus and unit.peak_mib is None:
            unit.peak_mib, unit.method = 0, "no GPU opened"

    # -------------------------------------------------------------- the test in hand

    def began(self, number: int, test: int, now_s: float) -> None:
        """A unit began a test."""
        unit = self._units[number]
        unit.test = unit.latest = test
        unit.began_s, unit.reports = now_s, []
        unit.peak_mib = unit.method = None
        self._audience.on_event(
            events.AttemptStarted(
                at_s=now_s,
                node_id=self._tests[test].node_id,
                attempt=self._number(test),
                gpus=unit.start.gpus,
                reserved_mib=unit.start.reserved_mib,
                slot=unit.start.lane,
            )
        )

    def reported(self, number: int, report: Any) -> None:
        """The test in hand has finished a phase."""
        self._units[number].reports.append(report)

    def ran_out_of_memory(self, number: int) -> bool:
        """Whether the attempt in hand has failed because a GPU was full, not for its own cap."""
        reports = self._units[number].reports
        return outcome_of(reports) is Outcome.OUT_OF_MEMORY and not any(
            getattr(report, "tonnage_capped", False) for report in reports
        )

    def died_of_memory(self, number: int) -> bool:
        """The same for one whose process ended under it, by what it printed last."""
        unit = self._units[number]
        if not unit.start.gpus:
            return False
        places = self._places_of(number, unit.start.lane)
        return any(says_out_of_memory(tail(Path(path))) for path in (places.err, places.out))

    def ended(self, number: int, now_s: float) -> None:
        """The attempt in hand is over, and counts."""
        unit = self._units[number]
        assert unit.test is not None
        test = self._tests[unit.test]
        self.durations_s[test.job.id] = now_s - unit.began_s
        self._finished(unit, now_s)
        earlier = self._earlier.pop(unit.test, [])
        if earlier:
            for report in unit.reports:
                report.tonnage_note = RETRIED_ALONE
        self._audience.on_reports(
            test.node_id, self._locations[unit.test], [*earlier, *unit.reports]
        )
        unit.test = None

    def to_be_retried(self, number: int, now_s: float) -> None:
        """The attempt in hand is over and does not count: the test will be tried again."""
        unit = self._units[number]
        assert unit.test is not None
        self._finished(unit, now_s)
        self._earlier.setdefault(unit.test, []).extend(as_rerun(unit.reports))
        unit.test = None

    def slow(self, slow: happenings.TestSlow, now_s: float) -> None:
        """A test takes long."""
        node_id = self._tests[slow.test].node_id
        self._audience.on_event(events.AttemptSlow(now_s, node_id, slow.elapsed_s))

    # -------------------------------------------------------------- its process is gone

    def lost(
        self,
        loss: happenings.TestLost,
        ended: messages.ProcessEnded | None,
        now_s: float,
        host_memory_ran_out: bool,
    ) -> None:
        """The process ended with the test in hand, and that is its result."""
        reason = why_lost(
            self._tests[loss.test], loss, ended, host_memory_ran_out=host_memory_ran_out
        )
        self._make_up(loss.unit, loss.test, loss.outcome, reason, now_s)
        self.ended(loss.unit, now_s)

    def lost_to_memory(self, retry: happenings.RetryAlone, now_s: float) -> None:
        """The process died of a full GPU that it shared; the test will be tried again."""
        reason = "out of memory: the process ended when the GPU was full"
        self._make_up(retry.unit, retry.test, Outcome.OUT_OF_MEMORY, reason, now_s)
        self.to_be_retried(retry.unit, now_s)

    def dropped(self, number: int) -> None:
        """The run itself ended the attempt in hand: it has no result."""
        self._units[number].test = None

    def start_over_notice(self, number: int) -> str:
        """The test in hand begins once more, in words."""
        return (
            f"{self._tests[self._units[number].latest].node_id} had begun in the process of a test "
            "that was ended for its timeout, and begins again in another"
        )

    def survivors_notice(self, number: int, survivors: Sequence[str]) -> str:
        """Who left these processes behind, in words."""
        unit = self._units[number]
        who = self._tests[unit.latest].node_id
        if len(unit.start.tests) > 1 or not unit.start.last:
            who += ", or a test before it in its process,"
        return f"{who} left processes behind, now ended: {', '.join(survivors)}"

    def host_memory_ran_out(self, now_s: float, *, is_urgent: bool) -> bool:
        """Whether the kernel has killed a process for want of host memory since the last look.

        Looks about once a second, and where something has ended badly: it means reading files.
        """
        if not is_urgent and now_s - self._oom_seen_s < _OOM_LOOK_S:
            return False
        self._oom_seen_s = now_s
        before, self._oom_kills = self._oom_kills, self._count_oom_kills()
        return None not in (before, self._oom_kills) and (self._oom_kills or 0) > (before or 0)

    def host_memory_notice(self, number: int) -> str:
        """The kernel has killed something that was not the unit's own process, in words."""
        return (
            "host memory ran out, and the kernel killed a process, around the time of "
            f"{self._tests[self._units[number].latest].node_id}"
        )

    def dirty_end_notice(self, ended: messages.ProcessEnded) -> str | None:
        """A process that ended badly after its last test had a result, in words; None: it did not.

        Neither a pass nor a failure of that test: something crashed while the process went away.
        """
        unit = self._units[ended.unit]
        how = dirty_end(ended.wait_status)
        if how is None or ended.problem is not None or unit.told_to_end:
            return None
        return f"the process of {self._tests[unit.latest].node_id} {how} after its last test"

    def told_to_end(self, number: int) -> None:
        """The unit is being ended: how its process goes says nothing."""
        self._units[number].told_to_end = True

    def strayed_notice(self, number: int, gpu: str, used_mib: int) -> str:
        """A unit uses a GPU that it was not given, in words."""
        return (
            f"{self._tests[self._units[number].latest].node_id} uses {format_gib(used_mib)} of "
            f"{gpu}, which it was not given: it changes CUDA_VISIBLE_DEVICES, or goes around it"
        )

    def leaked(self, leak: happenings.MemoryLeaked, now_s: float) -> None:
        """The GPU memory of a unit did not come back."""
        node_id = self._tests[self._units[leak.unit].latest].node_id
        for gpu, leaked_mib in leak.leaked_mib.items():
            self._audience.on_event(events.MemoryLeaked(now_s, node_id, gpu, leaked_mib))

    def refuse(self, test: int, reason: str, now_s: float) -> None:
        """Report a test that cannot run as an error of its setup."""
        node_id = self._tests[test].node_id
        reports = made_up_reports(
            node_id, self._locations[test], phase="setup", outcome=Outcome.ERROR, text=reason
        )
        self._audience.on_event(
            events.AttemptFinished(now_s, node_id, 1, Outcome.ERROR, 0.0, None, None, reason)
        )
        self._audience.on_reports(node_id, self._locations[test], reports)

    # -------------------------------------------------------------- small things

    def _number(self, test: int) -> int:
        """Which attempt of the test the next or current one is."""
        return 2 if test in self._earlier else 1

    def _finished(self, unit: _Unit, now_s: float) -> None:
        assert unit.test is not None
        outcome = outcome_of(unit.reports)
        if outcome is None:
            return
        self._audience.on_event(
            events.AttemptFinished(
                at_s=now_s,
                node_id=self._tests[unit.test].node_id,
                attempt=self._number(unit.test),
                outcome=outcome,
                duration_s=now_s - unit.began_s,
                peak_mib=unit.peak_mib,
                method=unit.method,
                reason=reason_of(unit.reports),
                reruns=reruns_of(unit.reports),
            )
        )

    def _make_up(self, number: int, test: int, outcome: Outcome, reason: str, now_s: float) -> None:
        """The reports that a test could not make itself, with what its process left."""
        unit = self._units[number]
        if unit.test is None:
            self.began(number, test, now_s)
        places = self._places_of(number, unit.start.lane)
        output = [
            (title, text)
            for title, text in (
                ("Captured stdout, last lines", tail(Path(places.out))),
                ("Captured stderr, last lines", tail(Path(places.err))),
            )
            if text
        ]
        unit.reports.extend(
            made_up_reports(
                self._tests[test].node_id,
                self._locations[test],
                phase=phase_in_hand(unit.reports),
                outcome=outcome,
                text=reason,
                stacks=stacks(Path(places.stacks)),
                output=output,
                duration_s=now_s - unit.began_s,
            )
        )
