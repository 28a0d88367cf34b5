"""Search results as JSON and back. Pure. The raw samples are left out: `--csv` has them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tonnage.profile.cards import cards_that_fit
from tonnage.profile.findings import Profiled
from tonnage.profile.model import (
    Cap,
    CapKind,
    Phase,
    PhaseName,
    ProbeOutcome,
    ProbeResult,
    SearchResult,
    Verdict,
)
from tonnage.profile.recommend import Recommendation, safe_gib

_NESTED = {"cap", "outcome", "phases", "samples", "survivors"}


def result_to_json(result: SearchResult) -> dict[str, Any]:
    """A search as plain JSON data: memory in MiB, time in seconds, names as in `model`."""
    return {
        "verdict": result.verdict.value,
        "lowest_passing": _cap_to_json(result.lowest_passing),
        "highest_failing": _cap_to_json(result.highest_failing),
        "peak_mib": result.peak_mib,
        "warnings": list(result.warnings),
        "probes": [probe_to_json(probe) for probe in result.probes],
    }


def result_from_json(data: Mapping[str, Any]) -> SearchResult:
    """What `result_to_json` made. Raises KeyError, TypeError or ValueError for anything else."""
    return SearchResult(
        verdict=Verdict(data["verdict"]),
        probes=tuple(probe_from_json(probe) for probe in data["probes"]),
        lowest_passing=_cap_from_json(data["lowest_passing"]),
        highest_failing=_cap_from_json(data["highest_failing"]),
        peak_mib=data["peak_mib"],
        warnings=tuple(data["warnings"]),
    )


def recommendation_to_json(recommendation: Recommendation, peak_mib: int | None) -> dict[str, Any]:
    """The markers with their reasons, the cards that the peak fits on, and the warnings."""
    fitting, too_small = cards_that_fit(safe_gib(peak_mib)) if peak_mib else ((), ())
    return {
        "markers": [
            {"marker": mark.text, "reason": mark.reason, "is_there": mark.is_there}
            for mark in recommendation.marks
        ],
        "fits_on": [str(card) for card in fitting],
        "runs_out_of_memory_on": [str(card) for card in too_small],
        "warnings": list(recommendation.warnings),
    }


def profiled_to_json(each: Profiled, command: str) -> dict[str, Any]:
    """One test: its node id, result, recommendation and error, null where there is none.

    `command` is the one that measured it.
    """
    result, recommendation = each.result, each.recommendation
    peak_mib = None if result is None else result.peak_mib
    return {
        "test": each.test.node_id,
        "measured_using": command,
        "result": None if result is None else result_to_json(result),
        "recommendation": (
            None if recommendation is None else recommendation_to_json(recommendation, peak_mib)
        ),
        "error": each.error or None,
    }


def probe_to_json(probe: ProbeResult) -> dict[str, Any]:
    """One probe as plain JSON data, without its samples."""
    plain = {
        each.name: getattr(probe, each.name) for each in fields(probe) if each.name not in _NESTED
    }
    plain["peak_by_gpu"] = dict(probe.peak_by_gpu)
    phases = [
        [phase.name.value, phase.start_s, phase.end_s, phase.mean_mib, phase.peak_mib]
        for phase in probe.phases
    ]
    return {
        "cap": _cap_to_json(probe.cap),
        "outcome": probe.outcome.value,
        **plain,
        "phases": phases,
        "survivors": list(probe.survivors),
    }


def probe_from_json(data: Mapping[str, Any]) -> ProbeResult:
    """What `probe_to_json` made. Raises as `result_from_json` does."""
    plain = {name: value for name, value in data.items() if name not in _NESTED}
    cap = _cap_from_json(data["cap"])
    assert cap is not None, "a probe has a cap, if only NONE"
    return ProbeResult(
        cap=cap,
        outcome=ProbeOutcome(data["outcome"]),
        phases=tuple(Phase(PhaseName(name), *rest) for name, *rest in data["phases"]),
        survivors=tuple(data["survivors"]),
        **plain,
    )


def _cap_to_json(cap: Cap | None) -> dict[str, Any] | None:
    return None if cap is None else {"kind": cap.kind.value, "value": cap.value}


def _cap_from_json(data: Mapping[str, Any] | None) -> Cap | None:
    return None if data is None else Cap(CapKind(data["kind"]), data["value"])
