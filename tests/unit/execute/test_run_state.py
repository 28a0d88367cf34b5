"""The run's state against a made-up machine: whatever tests do, each is dealt with exactly once."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.execute import happenings
from tonnage.execute.jobs import RunTest, run_test
from tonnage.execute.messages import CollectedTest
from tonnage.execute.state import FOREIGN_WAIT_S, RELEASE_LIMIT_S, RunState
from tonnage.execute.status import status_lines
from tonnage.markers.requirement import Requirement
from tonnage.record.events import GpuDescription
from tonnage.record.outcomes import Outcome
from tonnage.schedule.model import Gpu, Machine

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

GIB = 1024
CARDS = tuple(GpuDescription(f"gpu-{n}", f"GPU {n}", "NVIDIA L4", 24 * GIB) for n in range(2))


def machine(slots=3, gpus=2, margin=0.0):
    return Machine(
        tuple(
            Gpu(card.uuid, card.capacity_mib, int(card.capacity_mib * (1 - margin)))
            for card in CARDS[:gpus]
        ),
        slots,
    )


def suite_of(*requirements, isolation=None, problem=None, path="test_m.py") -> list[RunTest]:
    return [
        run_test(
            index,
            CollectedTest(f"test_{index}", path, [path, 0, ""], requirement, problem),
            CARDS,
            isolation=isolation,
            undeclared="whole",
        )
        for index, requirement in enumerate(requirements)
    ]


CPU = Requirement(gpus=0)
LIMITED = Requirement(gpus=0, timeout_s=1.0)


def gpu(gib, gpus=1, **more):
    return Requirement(gpus=gpus, vram_mib=gib * GIB, reserved_mib=gib * GIB, **more)


@dataclass
class Machinery:
    """Carries out instructions as the real processes would, in made-up time."""

    run: RunState
    tests: list[RunTest]
    now_s: float = 0.0
    queues: dict[int, list[int]] = field(default_factory=dict)
    last: dict[int, bool] = field(default_factory=dict)
    current: dict[int, int] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    gpus: dict[int, tuple[str, ...]] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    told_to_end: dict[int, bool] = field(default_factory=dict)
    starts: list[happenings.StartUnit] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    losses: list[happenings.TestLost] = field(default_factory=list)
    retried: list[int] = field(default_factory=list)
    started_over: list[int] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    leaks: list[happenings.MemoryLeaked] = field(default_factory=list)
    strayed: list[happenings.MemoryStrayed] = field(default_factory=list)

    def obey(self, instructions):
        for each in instructions:
            match each:
                case happenings.StartUnit(unit, tests, last):
                    self.starts.append(each)
                    self.queues[unit], self.last[unit] = list(tests), last
                    self.gpus[unit] = each.gpus
                case happenings.FeedUnit(unit, tests, last, drop):
                    self.asked.discard(unit)
                    if drop:
                        dropped = tuple(self.queues[unit])
                        self.queues[unit] = []
                        self.tell(happenings.TestsDropped(unit, dropped))
                    self.queues[unit] += tests
                    self.last[unit] = last
                case happenings.EndUnit(unit, gently):
                    self.told_to_end[unit] = gently
                case happenings.RefuseTest(test, reason):
                    self.refused[test] = reason
                case happenings.TestLost(_, test):
                    self.lost.append(test)
                    self.losses.append(each)
                case happenings.StartOver(_, test):
                    self.started_over.append(test)
                case happenings.RetryAlone(_, test):
                    self.retried.append(test)
                case happenings.TestSlow(_, _, elapsed_s):
                    self.slow.append(elapsed_s)
                case happenings.MemoryLeaked():
                    self.leaks.append(each)
                case happenings.MemoryStrayed():
                    self.strayed.append(each)
                case happenings.Notify(text):
                    self.notices.append(text)

    def tell(self, happening):
        self.obey(self.run.handle(happening, self.now_s))

    def begin_test(self, unit):
        test = self.queues[unit].pop(0)
        self.current[unit] = test
        self.tell(happenings.TestBegan(unit, test))

    def end_test(self, unit, out_of_memory=False):
        test = self.current.pop(unit)
        retries = len(self.retried)
        self.tell(happenings.TestEnded(unit, test, out_of_memory))
        if len(self.retried) == retries:
            self.ended.append(test)

    def end_unit(self, unit, out_of_memory=False):
        self.current.pop(unit, None)
        del self.queues[unit], self.last[unit]
        self.tell(happenings.UnitEnded(unit, out_of_memory))
        self.memory()

    def lose_agent(self):
        self.current.clear()
        self.queues.clear()
        self.last.clear()
        self.tell(happenings.AgentLost())
        self.memory()
        self.tell(happenings.TimePassed())

    def memory(self, by_unit=None, foreign=None):
        foreign = foreign or dict.fromkeys((card.uuid for card in CARDS), 0)
        self.tell(happenings.MemoryRead(by_unit or {}, foreign))

    def step(self, unit, *, at_once=True):
        """Let one unit do the next thing it would do; told to end, it does so at once or later."""
        if at_once and self.told_to_end.get(unit) is not None:
            self.end_unit(unit)
        elif unit in self.current:
            self.end_test(unit)
        elif self.queues[unit] and (self.last[unit] or len(self.queues[unit]) > 1):
            self.begin_test(unit)
        elif not self.last[unit] and unit not in self.asked:
            self.asked.add(unit)
            self.tell(happenings.UnitHungry(unit))
        elif self.last[unit]:
            self.end_unit(unit)

    def check(self, slots):
        alive = list(self.queues)
        assert len(alive) <= slots
        load: dict[str, int] = {}
        for unit in alive:
            for card in self.gpus[unit]:
                start = next(each for each in self.starts if each.unit == unit)
                load[card] = load.get(card, 0) + start.reserved_mib
        assert all(mib <= 24 * GIB for mib in load.values())
        for unit in alive:  # tests of one process see the same number of cards
            assert len({self.tests[test].job.gpus for test in self.queues[unit]}) <= 1
        assert len(set(self.ended + self.lost)) == len(self.ended + self.lost)


def started(tests, **machine_args) -> Machinery:
    run = RunState(tests, machine(**machine_args), timeout_grace_s=5.0)
    machinery = Machinery(run, tests)
    machinery.obey(run.begin(0.0))
    return machinery


requirements = st.sampled_from(
    [
        CPU,
        CPU,
        LIMITED,
        gpu(4),
        gpu(10),
        gpu(20),
        gpu(12, gpus=2),
        Requirement(gpus=1),
        Requirement(),
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(requirements, min_size=1, max_size=25),
    st.sampled_from([None, "test", "module", "worker"]),
    st.data(),
)
def test_every_test_is_dealt_with_once_whatever_happens(wanted, isolation, data):
    tests = suite_of(*wanted, isolation=isolation)
    machinery = started(tests)
    for _ in range(2000):
        machinery.check(slots=3)
        if machinery.run.is_over:
            break
        unit = data.draw(st.sampled_from(sorted(machinery.queues)))
        chance = data.draw(st.integers(0, 19))
        if chance <= 1:
            machinery.end_unit(unit, out_of_memory=bool(chance))  # it crashes in the middle
        elif chance == 2 and unit in machinery.current:
            machinery.end_test(unit, out_of_memory=True)
        elif chance == 3:
            machinery.lose_agent()
        elif chance == 4:
            machinery.now_s += 4.0
            machinery.tell(happenings.TimePassed())
        elif chance <= 8:
            machinery.step(unit, at_once=False)
        else:
            machinery.step(unit)
        machinery.now_s += 0.1
    assert machinery.run.is_over
    done = machinery.ended + machinery.lost + list(machinery.refused)
    assert sorted(done) == list(range(len(tests)))
    assert len(set(machinery.retried)) == len(machinery.retried)
    assert machinery.run.pending == 0


def test_a_worker_takes_many_tests_and_a_gpu_test_its_own_process():
    machinery = started(suite_of(*[CPU] * 60, gpu(4)), slots=2)
    own = [start for start in machinery.starts if start.gpus]
    assert [start.tests for start in own] == [(60,)]
    shared = [start for start in machinery.starts if not start.gpus]
    assert len(shared) == 1
    assert len(shared[0].tests) > 1
    assert not shared[0].last


def test_isolation_test_gives_every_test_its_own_process():
    machinery = started(suite_of(*[CPU] * 4, isolation="test"), slots=4)
    assert sorted(start.tests for start in machinery.starts) == [(0,), (1,), (2,), (3,)]
    assert all(start.last for start in machinery.starts)


def test_what_can_never_run_is_refused_before_anything_runs():
    machinery = started(suite_of(gpu(4, gpus=3), gpu(40), CPU))
    assert "3 GPUs" in machinery.refused[0]
    assert "40.0 GiB" in machinery.refused[1]
    assert [start.tests for start in machinery.starts] == [(2,)]


def test_a_problem_found_in_the_marks_is_the_tests_error():
    tests = suite_of(CPU, problem="two GPU counts")
    machinery = started(tests)
    assert machinery.refused == {0: "two GPU counts"}
    assert machinery.run.is_over


def test_a_crashed_worker_gives_its_unstarted_tests_back():
    machinery = started(suite_of(*[CPU] * 12), slots=1)
    (unit,) = machinery.queues
    machinery.begin_test(unit)
    machinery.end_unit(unit)
    assert machinery.lost == [0]
    while not machinery.run.is_over:
        machinery.step(min(machinery.queues))
    assert sorted(machinery.ended) == list(range(1, 12))


def test_a_process_that_dies_before_its_first_test_answers_with_it():
    machinery = started(suite_of(CPU), slots=1)
    (unit,) = machinery.queues
    machinery.end_unit(unit)
    assert machinery.lost == [0]
    assert machinery.run.is_over


def test_a_test_past_its_deadline_and_grace_is_ended_gently_once():
    machinery = started(suite_of(gpu(4, timeout_s=10.0)))
    (unit,) = machinery.queues
    machinery.begin_test(unit)
    assert machinery.run.next_deadline_s() == 15.0
    machinery.now_s = 14.9
    machinery.tell(happenings.TimePassed())
    assert machinery.told_to_end == {}
    machinery.now_s = 15.0
    machinery.tell(happenings.TimePassed())
    assert machinery.told_to_end == {unit: True}
    machinery.told_to_end.clear()
    machinery.tell(happenings.TimePassed())
    assert machinery.told_to_end == {}


def test_who_is_in_hand_when_the_unit_ends_for_the_test_before_begins_again():
    limited = Requirement(gpus=0, timeout_s=10.0)
    machinery = started(suite_of(limited, CPU, CPU, CPU, isolation="module"), slots=1)
    (unit,) = machinery.queues
    machinery.begin_test(unit)
    machinery.now_s = 15.0
    machinery.tell(happenings.TimePassed())
    assert machinery.told_to_end == {unit: True}
    machinery.end_test(unit)  # by itself, at the last moment
    machinery.begin_test(unit)
    machinery.end_unit(unit)
    assert machinery.started_over == [1]
    assert machinery.lost == []
    assert [start.tests for start in machinery.starts] == [(0, 1, 2, 3), (1, 2, 3)]


def test_a_worker_that_is_being_ended_is_given_no_more_tests():
    limited = Requirement(gpus=0, timeout_s=10.0)
    machinery = started(suite_of(limited, CPU, CPU, CPU), slots=1)
    (unit,) = machinery.queues
    machinery.begin_test(unit)
    machinery.now_s = 15.0
    machinery.tell(happenings.TimePassed())
    machinery.end_test(unit)
    machinery.tell(happenings.UnitHungry(unit))
    assert machinery.queues[unit] == []
    machinery.end_unit(unit)
    assert machinery.starts[-1].tests[0] == 1


def test_memory_that_is_not_back_keeps_the_card_reserved():
    machinery = started(suite_of(gpu(20), gpu(20)), gpus=1)
    (unit,) = machinery.queues
    card = CARDS[0].uuid
    machinery.begin_test(unit)
    machinery.end_test(unit)
    del machinery.queues[unit], machinery.last[unit]
    machinery.tell(happenings.UnitEnded(unit))
    machinery.memory(by_unit={unit: {card: 18 * GIB}})
    assert len(machinery.starts) == 1
    machinery.memory(by_unit={})
    assert [start.tests for start in machinery.starts] == [(0,), (1,)]


def test_memory_that_never_comes_back_counts_as_foreign_in_the_end():
    machinery = started(suite_of(gpu(20), gpu(2)), gpus=1)
    card = CARDS[0].uuid
    first = machinery.starts[0]
    assert first.tests == (0,)
    for unit in sorted(machinery.queues):
        machinery.begin_test(unit)
        machinery.end_test(unit)
        del machinery.queues[unit], machinery.last[unit]
        machinery.tell(happenings.UnitEnded(unit))
    machinery.memory(by_unit={first.unit: {card: 18 * GIB}})
    machinery.now_s = RELEASE_LIMIT_S
    machinery.tell(happenings.TimePassed())
    machinery.memory(by_unit={}, foreign={card: 18 * GIB})
    assert machinery.run.is_over


def test_foreign_memory_is_waited_for_and_then_given_up_with_the_reason():
    tests = suite_of(gpu(20))
    run = RunState(tests, machine(gpus=1), timeout_grace_s=5.0)
    machinery = Machinery(run, tests)
    card = CARDS[0].uuid
    machinery.memory(foreign={card: 10 * GIB})
    machinery.obey(run.begin(0.0))
    assert machinery.starts == []
    assert "hold 10.0 GiB" in machinery.notices[0]
    machinery.now_s = FOREIGN_WAIT_S
    machinery.tell(happenings.TimePassed())
    assert "waited 10 minutes" in machinery.refused[0]
    assert run.is_over


def test_foreign_memory_that_goes_away_lets_the_test_run():
    tests = suite_of(gpu(20))
    run = RunState(tests, machine(gpus=1), timeout_grace_s=5.0)
    machinery = Machinery(run, tests)
    machinery.memory(foreign={CARDS[0].uuid: 10 * GIB})
    machinery.obey(run.begin(0.0))
    machinery.memory()
    assert [start.tests for start in machinery.starts] == [(0,)]


def test_stopping_lets_the_running_test_finish_and_drops_the_rest():
    machinery = started(suite_of(*[CPU] * 40), slots=1)
    (unit,) = machinery.queues
    machinery.begin_test(unit)
    machinery.tell(happenings.StopAsked(now=False))
    assert machinery.queues[unit] == []
    machinery.end_test(unit)
    machinery.step(unit)
    assert machinery.ended == [0]
    assert machinery.run.is_over


def test_stopping_now_ends_what_runs():
    machinery = started(suite_of(gpu(4), *[CPU] * 4), slots=2)
    machinery.tell(happenings.StopAsked(now=True))
    assert machinery.told_to_end == dict.fromkeys(machinery.queues, False)
    assert machinery.run.ended_everything


def test_a_waiting_gpu_test_gets_the_slot_of_a_worker_that_runs_out():
    machinery = started(suite_of(*[CPU] * 8, isolation=None), slots=1)
    (unit,) = machinery.queues
    while not machinery.run.is_over:
        machinery.step(min(machinery.queues))
    assert sorted(machinery.ended) == list(range(8))
    assert [start.unit for start in machinery.starts] == [unit]


def test_cases_that_wait_are_estimated_by_those_that_have_ended():
    needs = gpu(20, timeout_s=900.0)
    tests = [
        run_test(
            index,
            CollectedTest(f"test_case[{index}]", "test_m.py", ["test_m.py", 0, ""], needs),
            CARDS,
            isolation=None,
            undeclared="whole",
        )
        for index in range(4)
    ]
    machinery = started(tests, gpus=1)
    assert machinery.run.predicted_end_s(0.0) == 1200.0
    (unit,) = machinery.queues
    machinery.begin_test(unit)
    machinery.now_s = 10.0
    machinery.end_test(unit)
    machinery.end_unit(unit)
    assert machinery.run.predicted_end_s(10.0) == 40.0


def test_the_tests_of_a_module_share_a_process_and_go_on_in_another_after_a_crash():
    machinery = started(suite_of(CPU, CPU, CPU, CPU, isolation="module"))
    assert [start.tests for start in machinery.starts] == [(0, 1, 2, 3)]
    machinery.begin_test(1)
    machinery.end_test(1)
    machinery.begin_test(1)
    machinery.end_unit(1)
    assert machinery.losses == [happenings.TestLost(1, 1, Outcome.CRASHED, going_on=2)]
    assert [start.tests for start in machinery.starts[1:]] == [(2, 3)]


def test_a_batch_needs_what_its_most_demanding_test_needs():
    tests = suite_of(gpu(4, cpus=2), gpu(10), CPU, isolation="module")
    machinery = started(tests, slots=8)
    assert [(start.tests, start.reserved_mib) for start in machinery.starts] == [
        ((0, 1), 10 * GIB),
        ((2,), 0),
    ]


def test_a_group_that_a_test_names_counts_beside_the_level_of_the_run():
    needs = [Requirement(gpus=0, group="server"), CPU, Requirement(gpus=0, group="server")]
    for isolation, expected in ((None, (0, 2)), ("module", (0, 2)), ("test", (0,))):
        machinery = started(suite_of(*needs, isolation=isolation))
        assert expected in [start.tests for start in machinery.starts]


def test_a_test_may_ask_for_another_level_than_the_run():
    needs = [CPU, Requirement(gpus=0, isolation="test"), CPU]
    machinery = started(suite_of(*needs, isolation="module"))
    assert sorted(start.tests for start in machinery.starts) == [(0, 2), (1,)]


def test_out_of_memory_in_company_is_tried_once_more_and_alone():
    machinery = started(suite_of(gpu(10), gpu(10)), gpus=1)
    machinery.begin_test(1)
    machinery.begin_test(2)
    machinery.end_test(1, out_of_memory=True)
    machinery.end_unit(1)
    assert machinery.retried == [0]
    assert len(machinery.starts) == 2, "there is still company on the card"
    machinery.end_test(2)
    machinery.end_unit(2)
    machinery.begin_test(3)
    assert machinery.starts[2].tests == (0,)
    machinery.end_test(3, out_of_memory=True)
    machinery.end_unit(3)
    assert machinery.ended == [1, 0]
    assert machinery.run.is_over


def test_out_of_memory_without_company_is_the_tests_own():
    machinery = started(suite_of(gpu(10), gpu(10)), gpus=2, slots=1)
    machinery.begin_test(1)
    machinery.end_test(1, out_of_memory=True)
    assert not machinery.retried
    assert machinery.ended == [0]


def test_a_process_that_died_of_a_full_card_it_shared_is_tried_again():
    machinery = started(suite_of(gpu(10), gpu(10)), gpus=1)
    machinery.begin_test(1)
    machinery.end_unit(1, out_of_memory=True)
    assert (machinery.retried, machinery.lost) == ([0], [])


def test_a_slow_test_is_named_again_each_time_its_time_doubles():
    run = RunState(suite_of(CPU), machine(), timeout_grace_s=5.0, slow_after_s=60.0)
    machinery = Machinery(run, [])
    machinery.tests = suite_of(CPU)
    machinery.obey(run.begin(0.0))
    machinery.begin_test(1)
    for now_s in (59.0, 60.0, 61.0, 119.0, 121.0, 500.0, 501.0):
        machinery.now_s = now_s
        machinery.tell(happenings.TimePassed())
    assert machinery.slow == [60.0, 121.0, 500.0]
    assert run.next_deadline_s() == 960.0


def test_memory_that_never_comes_back_is_charged_to_the_test():
    machinery = started(suite_of(gpu(4)), gpus=1)
    machinery.begin_test(1)
    machinery.end_test(1)
    machinery.current.pop(1, None)
    machinery.tell(happenings.UnitEnded(1))
    machinery.memory({1: {"gpu-0": 700}})
    machinery.now_s = RELEASE_LIMIT_S + 1
    machinery.tell(happenings.TimePassed())
    assert machinery.leaks == [happenings.MemoryLeaked(1, {"gpu-0": 700})]


def test_a_lost_agent_takes_what_ran_and_leaves_what_waited():
    machinery = started(suite_of(gpu(20), gpu(20), gpu(20)), gpus=1)
    machinery.begin_test(1)
    machinery.lose_agent()
    assert [loss.outcome for loss in machinery.losses] == [Outcome.LOST]
    assert machinery.starts[1].tests == (1,)


def test_stopping_lets_a_batch_end_after_the_test_in_hand():
    machinery = started(suite_of(CPU, CPU, CPU, isolation="module"))
    machinery.begin_test(1)
    machinery.tell(happenings.StopAsked(now=False))
    machinery.end_test(1)
    machinery.step(1)
    assert machinery.run.is_over
    assert machinery.ended == [0]


def test_the_status_says_what_waits_for_what():
    machinery = started(suite_of(gpu(20), gpu(20), gpu(4, gpus=2)), gpus=2, slots=1)
    machinery.begin_test(1)
    status = machinery.run.status()
    assert [each.node_id for each in status.running] == ["test_0"]
    assert [(each.first, each.count, each.why) for each in status.waiting] == [
        ("test_1", 2, "needs 1 CPU slot, 0 free"),
    ]
    lines = status_lines(status, {"gpu-0": "GPU 0"}, 65.0)
    assert lines[0] == "after 1m 05s: 0 tests ended, 1 running, 2 waiting"
    assert lines[2] == "  waiting  test_1 and 1 other: needs 1 CPU slot, 0 free"
    assert "running  1m 05s  GPU 0 (20.0 GiB reserved)  test_0" in lines[1]


def test_a_reading_that_says_nothing_releases_nothing():
    machinery = started(suite_of(gpu(20), gpu(20)), gpus=1)
    machinery.begin_test(1)
    machinery.end_test(1)
    machinery.tell(happenings.UnitEnded(1))
    nothing = happenings.MemoryRead({}, {}, {1: {"gpu-0"}})
    machinery.tell(nothing)
    assert len(machinery.starts) == 1, "the first test's memory may still be there"
    machinery.tell(happenings.MemoryRead({}, {"gpu-0": 0}))
    assert len(machinery.starts) == 2


def test_a_reading_from_before_the_end_releases_nothing():
    machinery = started(suite_of(gpu(20), gpu(20)), gpus=1)
    machinery.begin_test(1)
    machinery.now_s = 5.0
    machinery.end_test(1)
    machinery.tell(happenings.UnitEnded(1))
    machinery.tell(happenings.MemoryRead({}, {"gpu-0": 0}, at_s=4.9))
    assert len(machinery.starts) == 1
    machinery.tell(happenings.MemoryRead({}, {"gpu-0": 0}, at_s=5.1))
    assert len(machinery.starts) == 2


def test_memory_on_a_card_that_was_not_given_is_off_that_card():
    machinery = started(suite_of(gpu(20), gpu(22), gpu(8)), gpus=2, slots=2)
    stray = {1: {"gpu-0": 20 * GIB, "gpu-1": 20 * GIB}}
    nothing = dict.fromkeys(("gpu-0", "gpu-1"), 0)
    machinery.tell(happenings.MemoryRead(stray, nothing))
    machinery.tell(happenings.MemoryRead(stray, nothing))
    assert [(strayed.unit, strayed.gpu) for strayed in machinery.strayed] == [(1, "gpu-1")]
    machinery.begin_test(2)
    machinery.end_test(2)
    machinery.tell(happenings.UnitEnded(2))
    machinery.tell(happenings.MemoryRead(stray, nothing))
    assert len(machinery.starts) == 2, "no 8 GiB are left on the card of which it has 20"


def test_what_the_run_allows_each_test_is_a_limit_and_no_estimate():
    collected = CollectedTest("test_0", "m.py", ["m.py", 0, ""], CPU, default_timeout_s=2.0)
    test = run_test(0, collected, CARDS, isolation=None, undeclared="whole")
    assert (test.limit_s, test.job.estimate_s) == (2.0, None)
