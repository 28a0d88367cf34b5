"""What recorded runs know of tests, as the rules about time want it. Pure."""

from collections.abc import Mapping

from tonnage.record.measured import Measured


def mean_durations_s(measured: Mapping[str, Measured]) -> dict[str, float]:
    """The mean duration of each test by node id without parameters, in seconds.

    A timeout mark holds for all cases of a test, so the slowest of them counts.
    """
    slowest_s: dict[str, float] = {}
    for node_id, known in measured.items():
        if known.durations_s:
            path, separator, rest = node_id.partition("::")
            test = path + separator + rest.partition("[")[0]
            mean_s = sum(known.durations_s) / len(known.durations_s)
            slowest_s[test] = max(mean_s, slowest_s.get(test, 0.0))
    return slowest_s
