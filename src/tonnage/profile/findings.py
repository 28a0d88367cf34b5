"""What a finished profile says of a test: its needs, and the markers that follow. Pure."""

from dataclasses import dataclass, replace

from tonnage.markers.vocabulary import Vocabulary
from tonnage.profile.model import NO_CAP, PhaseName, ProbeResult, SearchResult, Verdict
from tonnage.profile.recommend import Needs, Recommendation, loads_a_model, recommend
from tonnage.profile.selection import SelectedTest


@dataclass(frozen=True, slots=True)
class Profiled:
    """One test and what was found. `result` None: it was not profiled, or `error` says why not."""

    test: SelectedTest
    result: SearchResult | None = None
    recommendation: Recommendation | None = None
    error: str = ""


def telling_probe(result: SearchResult) -> ProbeResult | None:
    """The probe taken as the test will run; None when none passed.

    With an engine's cap that is the last, at the cap to declare; else the one at the least cap.
    """
    passed = [probe for probe in result.probes if probe.passed]
    if result.lowest_passing is not None and result.lowest_passing.kind.is_engine_cap:
        return passed[-1] if passed else None
    return min(passed, key=lambda probe: probe.cap.value, default=None)


def needs_of(test: SelectedTest, result: SearchResult, vocabulary: Vocabulary) -> Needs | None:
    """What a finished search says the test needs; None when it found nothing to go by."""
    probe = telling_probe(result)
    if result.verdict is not Verdict.FOUND or probe is None:
        return None
    cap = result.lowest_passing
    is_engine_cap = cap is not None and cap.kind.is_engine_cap
    used = [gpu for gpu, mib in probe.peak_by_gpu.items() if mib]
    return Needs(
        wall_s=probe.wall_s if probe.test_s is None else probe.test_s,
        peak_mib=result.peak_mib,
        # A peak that no sample saw was shown by the cap at which memory ran out.
        gpus=max(len(used), 0 if result.peak_mib == 0 else 1),
        loads_model=loads_a_model(test.marks, vocabulary)
        or any(phase.name is PhaseName.CACHE for phase in probe.phases),
        cap=(cap.kind.value, cap.value) if cap is not None and is_engine_cap else None,
    )


def profiled(
    test: SelectedTest, result: SearchResult, vocabulary: Vocabulary, *, advise: bool = True
) -> Profiled:
    """A result with the markers that follow from it."""
    needs = needs_of(test, result, vocabulary) if advise else None
    advice = None if needs is None else recommend(needs, test.marks, vocabulary)
    return Profiled(test, result, advice)


def single_pass(probe: ProbeResult) -> SearchResult:
    """One probe without a cap as a search that looked nowhere else."""
    verdicts = {"passed": Verdict.FOUND, "skipped": Verdict.SKIPPED}
    verdict = verdicts.get(probe.outcome.value, Verdict.FAILS_ON_ITS_OWN)
    if probe.outcome.is_memory:
        verdict = Verdict.DOES_NOT_FIT
    return SearchResult(verdict, (probe,), NO_CAP, peak_mib=probe.highest_mib)


def confirmed(result: SearchResult, probe: ProbeResult) -> SearchResult:
    """A search of an engine's cap with one more probe, at the cap that is to be declared.

    The test will run with that cap and then hold more than with the least, so its peak counts.
    """
    probes = (*result.probes, probe)
    if not probe.passed:
        words = f"with {probe.cap.text()}, which is to be declared, the test did not pass"
        return replace(result, probes=probes, warnings=(*result.warnings, words))
    peak_mib = result.peak_mib if probe.highest_mib is None else probe.highest_mib
    return replace(result, probes=probes, peak_mib=peak_mib)
