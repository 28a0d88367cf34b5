"""Profiling several tests side by side: one thread a test, each on GPUs of its own.

All reports go through the thread that called, so that whoever listens needs no lock.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tonnage.devices.backend import DeviceGpu
from tonnage.markers.vocabulary import Vocabulary
from tonnage.profile.model import ProfileEvent, SearchResult
from tonnage.profile.placing import Wanted, next_start
from tonnage.profile.selection import SelectedTest

ProfileOne = Callable[
    [SelectedTest, Sequence[DeviceGpu], Callable[[ProfileEvent], None], threading.Event],
    SearchResult,
]
"""Profiles one test on these GPUs, tells its progress, and ends soon after the event is set."""

# A wait in slices: an interrupt is taken only between two of them.
_SLICE_S = 0.2


@dataclass(frozen=True, slots=True)
class Began:
    """A test is being profiled from now on, on these GPUs."""

    test: SelectedTest
    gpus: tuple[DeviceGpu, ...]


@dataclass(frozen=True, slots=True)
class Progressed:
    """Something happened within the profile of a test."""

    test: SelectedTest
    event: ProfileEvent


@dataclass(frozen=True, slots=True)
class Finished:
    """A test's profile is over. `error`: what kept it from being made, in place of a result."""

    test: SelectedTest
    result: SearchResult | None
    error: Exception | None = None


Told = Began | Progressed | Finished


def profile_tests(
    tests: Sequence[SelectedTest],
    gpus: Sequence[DeviceGpu],
    vocabulary: Vocabulary,
    profile_one: ProfileOne,
    tell: Callable[[Told], None],
) -> bool:
    """Profile every test; whether all of them were, or an interrupt came first.

    After an interrupt nothing new starts; what runs is ended, and what it found is told. Each
    test must be one that these GPUs can run (`placing.why_never`). An error of `tell` ends all
    profiles and is raised.
    """
    arrivals: queue.SimpleQueue[Told] = queue.SimpleQueue()
    stop = threading.Event()
    waiting = list(tests)
    running: dict[str, tuple[threading.Thread, tuple[DeviceGpu, ...]]] = {}

    def work(test: SelectedTest, lent: tuple[DeviceGpu, ...]) -> None:
        try:
            result = profile_one(
                test, lent, lambda event: arrivals.put(Progressed(test, event)), stop
            )
            arrivals.put(Finished(test, result))
        except Exception as error:
            arrivals.put(Finished(test, None, error))

    def start() -> None:
        while True:
            wanted = [Wanted(test.requirement(vocabulary)) for test in waiting]
            busy = {gpu.uuid for _, lent in running.values() for gpu in lent}
            found = next_start(wanted, gpus, busy)
            if found is None:
                return
            place, lent = found
            test = waiting.pop(place)
            thread = threading.Thread(
                target=work, args=(test, lent), name=f"profile {test.node_id}"
            )
            running[test.node_id] = (thread, lent)
            thread.start()
            tell(Began(test, lent))

    def take(arrival: Told) -> None:
        if isinstance(arrival, Finished):
            running.pop(arrival.test.node_id)[0].join()
        tell(arrival)

    try:
        start()
        while running:
            try:
                take(arrivals.get(timeout=_SLICE_S))
            except queue.Empty:
                continue
            start()
    except KeyboardInterrupt:
        stop.set()
        while any(_has_begun(thread) for thread, _ in running.values()):
            take(arrivals.get())
        return False
    finally:
        stop.set()
        for thread, _ in running.values():
            if _has_begun(thread):
                thread.join()
    return True


def _has_begun(thread: threading.Thread) -> bool:
    # An interrupt may come just before a thread is started.
    return thread.ident is not None
