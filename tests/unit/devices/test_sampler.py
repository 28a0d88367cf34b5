"""The sampler, over backends that answer, raise and hang."""

import threading

import pytest

from tonnage.clock import FakeClock, SystemClock
from tonnage.devices.backend import ProcessUse
from tonnage.devices.sampler import Sampler

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

FOREVER_S = 3600.0


class Cards:
    """A backend that answers from a dictionary of UUID -> MiB."""

    name = "simulated"

    def __init__(self, **used):
        self.used = used

    def list_gpus(self):
        return ()

    def read_used_mib(self, uuid):
        return self.used[uuid]

    def read_processes(self, uuid):
        return (ProcessUse(1, self.used[uuid]),)

    def close(self):
        pass


class HangingCards(Cards):
    """A backend that answers until told to hang, and then not until it is let go."""

    def __init__(self, **used):
        super().__init__(**used)
        self.hangs = False
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def read_used_mib(self, uuid):
        if self.hangs:
            self.entered.set()
            self.let_go.wait()
        return super().read_used_mib(uuid)


class Inbox:
    """Receives readings; `next()` waits for one that has not been taken yet."""

    def __init__(self):
        self._arrived = threading.Semaphore(0)
        self._readings = []

    def __call__(self, reading):
        self._readings.append(reading)
        self._arrived.release()

    def next(self):
        assert self._arrived.acquire(timeout=30)
        return self._readings.pop(0)


@pytest.fixture
def started():
    """Starts samplers, and stops them when the test is over."""
    samplers = []

    def start(backend, uuids, interval_s=FOREVER_S, on_reading=lambda reading: None, **more):
        sampler = Sampler(backend, uuids, interval_s, on_reading, SystemClock(), **more)
        samplers.append(sampler)
        sampler.start()
        return sampler

    yield start
    for sampler in samplers:
        sampler.stop()


def test_a_reading_covers_the_gpus_asked_for():
    sampler = Sampler(Cards(a=1, b=2), ["b"], 1.0, lambda reading: None, FakeClock(7.0))
    reading = sampler.read_now()
    assert reading.at_s == 7.0
    assert reading.used_mib == {"b": 2}
    assert reading.processes == {"b": (ProcessUse(1, 2),)}
    assert reading.source == "simulated"


def test_readings_keep_coming(started):
    inbox = Inbox()
    started(Cards(a=5), ["a"], interval_s=0.001, on_reading=inbox)
    times = [inbox.next().at_s for _ in range(5)]
    assert times == sorted(times)
    assert len(set(times)) == 5


def test_a_request_does_not_wait_for_the_interval(started):
    inbox, cards = Inbox(), Cards(a=5)
    sampler = started(cards, ["a"], on_reading=inbox)
    assert inbox.next().used_mib == {"a": 5}
    cards.used["a"] = 6
    sampler.request()
    assert inbox.next().used_mib == {"a": 6}


def test_read_now_sees_what_was_true_before_it_was_called(started):
    cards = Cards(a=0)
    sampler = started(cards, ["a"])
    for mib in range(1, 50):
        cards.used["a"] = mib
        assert sampler.read_now().used_mib == {"a": mib}


def test_a_request_during_a_reading_is_answered_by_the_next_one(started):
    """What was asked for may be newer than what the reading under way has seen."""
    cards, inbox = HangingCards(a=1), Inbox()
    cards.hangs = True
    sampler = started(cards, ["a"], on_reading=inbox)
    assert cards.entered.wait(30)
    sampler.request()
    cards.let_go.set()
    first, second = inbox.next(), inbox.next()
    assert first.at_s < second.at_s


def test_threads_may_ask_at_once(started):
    sampler = started(Cards(a=5), ["a"])
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(sampler.read_now())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reading.used_mib for reading in results] == [{"a": 5}] * 8


def test_a_gpu_whose_reading_raises_is_unknown_and_the_others_are_read(started):
    cards = Cards(a=1, c=3)
    sampler = started(cards, ["a", "b", "c"])
    assert sampler.read_now().used_mib == {"a": 1, "b": None, "c": 3}
    assert sampler.read_now().processes["b"] is None
    cards.used["b"] = 2
    assert sampler.read_now().used_mib["b"] == 2


def test_a_hanging_driver_gives_an_unknown_reading_and_does_not_hold_up_the_end(started):
    cards = HangingCards(a=1)
    sampler = started(cards, ["a"], patience_s=0.05)
    assert sampler.read_now().used_mib == {"a": 1}
    cards.hangs = True
    assert sampler.read_now().used_mib == {"a": None}
    sampler.stop()
    cards.let_go.set()


def test_a_driver_that_comes_back_is_read_again(started):
    cards, inbox = HangingCards(a=1), Inbox()
    sampler = started(cards, ["a"], on_reading=inbox, patience_s=0.05)
    inbox.next()
    cards.hangs = True
    assert sampler.read_now().used_mib == {"a": None}
    cards.let_go.set()
    assert inbox.next().used_mib == {"a": 1}


def test_stopping_ends_the_thread(started):
    before = threading.active_count()
    sampler = started(Cards(a=1), ["a"])
    assert threading.active_count() == before + 1
    sampler.stop()
    assert threading.active_count() == before
    assert sampler.read_now().used_mib == {"a": 1}


def test_one_that_never_started_can_be_stopped():
    Sampler(Cards(), [], 1.0, lambda reading: None, FakeClock()).stop()
