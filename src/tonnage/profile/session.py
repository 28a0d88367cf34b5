"""One `tonnage profile`, from what was asked for to what was found, without printing anything."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage.devices.attribution import SIMULATED
from tonnage.devices.backend import DeviceGpu
from tonnage.devices.open import Devices
from tonnage.errors import DeviceError, OptionError, TonnageError
from tonnage.markers.engine_caps import cap_of_role
from tonnage.markers.vocabulary import Vocabulary
from tonnage.profile.findings import Profiled, confirmed, profiled, single_pass
from tonnage.profile.measure import Bench, crowding, find_least, measure_once
from tonnage.profile.model import (
    Cap,
    CapKind,
    ProbeEnded,
    ProbeResult,
    ProbeSettings,
    ProbeStarted,
    ProfileEvent,
    SearchResult,
    Verdict,
)
from tonnage.profile.placing import Wanted, why_never
from tonnage.profile.probe import Stopped, Subject
from tonnage.profile.recommend import cap_to_declare
from tonnage.profile.resume import ResumeFile
from tonnage.profile.selection import SelectedTest, Selection
from tonnage.profile.several import Finished, ProfileOne, Progressed, Told, profile_tests
from tonnage.profile.space import SearchSpace, space_for

# What a probe may take beyond the test's own timeout: its interpreter, imports and collection.
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """How tests are to be profiled.

    `kind` None: the cap that the test's markers name, else a fraction. `low`, `high` and
    `tolerance` None: the defaults of that kind. `find_least` False: one probe without a cap.
    """

    probes: ProbeSettings
    find_least: bool = True
    kind: CapKind | None = None
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None


def cap_kind(
    asked: Asked, test: SelectedTest, vocabulary: Vocabulary
) -> tuple[CapKind, float | None]:
    """The kind of cap to search for a test, and the value its marker has now."""
    declared = dict(test.requirement(vocabulary).engine_caps)
    kind = asked.kind
    if kind is None:
        role = next(iter(declared), None)
        kind = CapKind.FRACTION if role is None or cap_of_role(role) is None else CapKind(role)
    return kind, declared.get(kind.value)


def check_gpus(devices: Devices, tests: Sequence[SelectedTest], vocabulary: Vocabulary) -> None:
    """Raise DeviceError when there is no GPU, or a test that these GPUs cannot run."""
    if not devices.gpus:
        raise DeviceError(
            f"there is no GPU to measure on: {devices.note}",
            where="--gpus",
            remedy="Simulated ones measure tests that use tonnage.testkit.simgpu: --gpus sim:1x24",
        )
    for test in tests:
        wanted = Wanted(test.requirement(vocabulary))
        if (why := why_never(wanted, devices.gpus)) is not None:
            raise DeviceError(f"it cannot be profiled here: {why}", where=test.node_id)


def crowded_cards(devices: Devices) -> list[str]:
    """A sentence for each card that others hold much of, naming them."""
    said = ((gpu, crowding(devices, gpu.uuid)) for gpu in devices.gpus)
    return [f"GPU {gpu.index}: {text}" for gpu, text in said if text is not None]


def search_space(
    asked: Asked,
    test: SelectedTest,
    gpus: Sequence[DeviceGpu],
    devices: Devices,
    vocabulary: Vocabulary,
) -> SearchSpace:
    """Where to search for the least memory of a test on these GPUs.

    Raises OptionError for a range or tolerance that cannot be used.
    """
    kind, declared = cap_kind(asked, test, vocabulary)
    return space_for(
        kind,
        min(gpu.capacity_mib for gpu in gpus),
        declared=declared,
        low=asked.low,
        high=asked.high,
        tolerance=asked.tolerance,
        is_simulated=devices.backend is not None and devices.backend.name == SIMULATED,
    )


def measure_again(bench: Bench, subject: Subject, cap: Cap, result: SearchResult) -> ProbeResult:
    """One more probe after a search, at the cap that its result leads to."""
    index = len(result.probes) + 1
    last_s = result.probes[-1].total_s
    bench.on_event(ProbeStarted(index, index, cap, last_s, "as it will be declared"))
    probe = bench.probe(subject, cap)
    bench.on_event(ProbeEnded(index, probe))
    return probe


def profiler(
    asked: Asked,
    selection: Selection,
    devices: Devices,
    vocabulary: Vocabulary,
    directory: Path,
    begun: Mapping[str, Sequence[ProbeResult]],
) -> ProfileOne:
    """The function that profiles one of the selected tests, as it was asked for.

    `begun` are the probes of searches that were interrupted, which go on from there.
    """

    def profile_one(
        test: SelectedTest,
        gpus: Sequence[DeviceGpu],
        on_event: Callable[[ProfileEvent], None],
        stop: threading.Event,
    ) -> SearchResult:
        uuids = tuple(gpu.uuid for gpu in gpus)
        limit_s = test.requirement(vocabulary).timeout_s
        if limit_s is not None:
            limit_s += _START_S
        settings = replace(asked.probes, timeout_s=limit_s)
        bench = Bench(devices, uuids, settings, on_event, stop=stop)
        subject = Subject(
            test.node_id, (*selection.options, f"--rootdir={selection.root}"), directory
        )
        if not asked.find_least:
            try:
                return single_pass(measure_once(bench, subject))
            except Stopped:
                return SearchResult(Verdict.INTERRUPTED)
        space = search_space(asked, test, gpus, devices, vocabulary)
        result = find_least(bench, subject, space, begun.get(test.node_id, ()))
        least = result.lowest_passing
        if result.verdict is not Verdict.FOUND or least is None or not least.kind.is_engine_cap:
            return result
        _, declared = cap_kind(asked, test, vocabulary)
        cap = Cap(least.kind, cap_to_declare(least.kind.value, least.value, declared))
        try:
            return confirmed(result, measure_again(bench, subject, cap, result))
        except Stopped:
            return result

    return profile_one


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that profiling the selected tests takes. `resume` None: results are not kept."""

    selection: Selection
    devices: Devices
    vocabulary: Vocabulary
    profile_one: ProfileOne
    resume: ResumeFile | None = None
    advise: bool = True

    def run(self, done: dict[str, SearchResult], tell: Callable[[Told], None]) -> list[Profiled]:
        """Profile what is not `done`; what was found of each test, in the selection's order.

        Tests that an interrupt left out have neither result nor error.
        """
        found = dict(done)
        errors: dict[str, str] = {}

        def take(told: Told) -> None:
            node_id = told.test.node_id
            if isinstance(told, Progressed) and isinstance(told.event, ProbeEnded):
                if self.resume is not None:
                    self.resume.add_probe(node_id, told.event.result)
            elif isinstance(told, Finished):
                if told.result is not None:
                    found[node_id] = told.result
                    if self.resume is not None:
                        self.resume.add(node_id, told.result)
                elif isinstance(told.error, TonnageError):
                    errors[node_id] = str(told.error)
                elif told.error is not None:
                    raise told.error
            tell(told)

        waiting = [test for test in self.selection.tests if test.node_id not in done]
        profile_tests(waiting, self.devices.gpus, self.vocabulary, self.profile_one, take)
        return [
            profiled(test, found[test.node_id], self.vocabulary, advise=self.advise)
            if test.node_id in found
            else Profiled(test, error=errors.get(test.node_id, ""))
            for test in self.selection.tests
        ]


def check_one(selection: Selection, option: str) -> None:
    """Raise OptionError, for an option that is for one test, when several are selected."""
    if len(selection.tests) > 1:
        raise OptionError(
            f"{len(selection.tests)} tests are selected, and this is for one",
            where=option,
            remedy="Select one test by its node id.",
        )


def check_writable(file: Path, option: str) -> None:
    """Raise OptionError, before anything is measured, when a file could not be written."""
    try:
        if file.is_dir():
            raise IsADirectoryError(21, "it is a directory")
        existed = file.exists()
        with file.open("ab"):
            pass
        if not existed:
            file.unlink()
    except OSError as error:
        raise OptionError(
            f"cannot write {file}: {error.strerror}",
            where=option,
            remedy="Give a file in a directory that can be written to.",
        ) from error
