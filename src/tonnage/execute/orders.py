"""What the zygote is told when a unit starts, and the numbers by which it knows the tests.

The zygote numbers tests by its own collection, which another zygote may have replaced; a new
interpreter knows them by our numbers.
"""

from collections.abc import Mapping, Sequence

from tonnage.devices.open import Devices
from tonnage.execute import happenings, messages
from tonnage.execute.caps import Caps
from tonnage.execute.collecting import Collection
from tonnage.execute.environment import unit_environment
from tonnage.execute.jobs import RunTest


class Orders:
    """The orders of one run. `user` is the environment that the user gave it."""

    def __init__(
        self,
        tests: Sequence[RunTest],
        collection: Collection,
        devices: Devices,
        caps: Caps,
        user: Mapping[str, str],
    ) -> None:
        self._tests = tests
        self._devices = devices
        self._caps = caps
        self._user = user
        self._fresh_units: set[int] = set()
        self.collected_again(collection)

    def collected_again(self, collection: Collection) -> None:
        """From here on a zygote with this collection is spoken to."""
        self._collection = collection
        self._our_number = {theirs: ours for ours, theirs in collection.zygote_index.items()}

    def start(self, start: happenings.StartUnit, attempt: int) -> messages.StartProcess:
        """The order to start a unit; which attempt of its first test it is, counted from 1."""
        test = self._tests[start.tests[0]]
        fresh = None
        if test.is_fresh:
            self._fresh_units.add(start.unit)
            path = self._collection.tests[test.index].path
            fresh = messages.FreshStart(path, [self._tests[each].node_id for each in start.tests])
        return messages.StartProcess(
            unit=start.unit,
            tests=self._theirs(start.tests),
            last=start.last,
            lane=start.lane,
            environment=unit_environment(
                self._user,
                self._gpu_environment(start.gpus),
                test.requirement,
                self._caps.environment(test.requirement, start.gpus),
            ),
            attempt=attempt,
            fresh=fresh,
            on_gpu=bool(start.gpus),
        )

    def feed(self, feed: happenings.FeedUnit) -> messages.MoreTests:
        """The order to a worker to go on with these."""
        return messages.MoreTests(self._theirs(feed.tests), feed.last, feed.drop)

    def ours(self, unit: int, test: int) -> int:
        """Our number of the test that a unit speaks of."""
        return test if unit in self._fresh_units else self._our_number[test]

    def _theirs(self, tests: Sequence[int]) -> list[int]:
        return [self._collection.zygote_index.get(test, test) for test in tests]

    def _gpu_environment(self, gpus: tuple[str, ...]) -> dict[str, str]:
        # Without any GPU on the machine the caller's mask stays as it is.
        return self._devices.environment_for(gpus) if self._devices.gpus else {}
