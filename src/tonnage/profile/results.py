"""From the samples of a probe to its figures."""

from collections.abc import Sequence

from tonnage.profile.ending import Ending
from tonnage.profile.model import Cap, ProbeResult, Sample
from tonnage.profile.phases import find_phases
from tonnage.profile.recorder import Recorder


def measured(
    cap: Cap,
    ending: Ending,
    recorder: Recorder,
    *,
    start_s: float,
    end_s: float,
    total_s: float,
    left_behind_mib: int,
    survivors: tuple[str, ...],
    output: str,
    noise_mib: int,
) -> ProbeResult:
    """The result of a probe whose test ran from `start_s` to `end_s` (since the probe began).

    `left_behind_mib` is what processes held that outlived the test and were ended.
    """
    samples = recorder.samples()
    known = [(sample.at_s, mib) for sample in samples if (mib := sample.tree_mib) is not None]
    peak_at_s, peak_mib = max(known, key=lambda point: point[1], default=(None, None))
    during = [mib for at_s, mib in known if start_s <= at_s <= end_s]
    phases = find_phases(
        [at_s for at_s, _ in known], [mib for _, mib in known], start_s, end_s, noise_mib
    )
    busy = [
        percent
        for sample in samples
        if start_s <= sample.at_s <= end_s
        for percent in sample.utilisation.values()
        if percent is not None
    ]
    leak_mib = max(left_behind_mib, _not_come_back(samples, recorder.baseline_mib))
    return ProbeResult(
        cap=cap,
        outcome=ending.outcome,
        wall_s=end_s - start_s,
        test_s=ending.test_s,
        total_s=total_s,
        peak_mib=peak_mib,
        peak_at_s=peak_at_s,
        mean_mib=round(sum(during) / len(during)) if during else None,
        peak_by_gpu=_peaks(samples),
        counted_peak_mib=ending.counted_mib,
        baseline_mib=max(recorder.baseline_mib.values(), default=None),
        leak_mib=leak_mib if leak_mib > noise_mib else 0,
        host_peak_mib=max((sample.host_mib for sample in samples), default=0),
        utilisation_mean=sum(busy) / len(busy) if busy else None,
        utilisation_peak=max(busy, default=None),
        method=recorder.method,
        phases=phases,
        samples=samples,
        reason=ending.reason,
        output_tail=output,
        needed_mib=ending.need.mib,
        needed_tokens=ending.need.tokens,
        survivors=survivors,
    )


def _peaks(samples: Sequence[Sample]) -> dict[str, int]:
    peaks: dict[str, int] = {}
    for sample in samples:
        for gpu, mib in sample.own_mib.items():
            if mib is not None:
                peaks[gpu] = max(mib, peaks.get(gpu, 0))
    return peaks


def _not_come_back(samples: Sequence[Sample], baseline_mib: dict[str, int]) -> int:
    """How much more is in use at the end than before, on the GPU where that is most."""
    if not samples:
        return 0
    last = samples[-1].used_mib
    return max(
        (
            used - before
            for gpu, before in baseline_mib.items()
            if (used := last.get(gpu)) is not None
        ),
        default=0,
    )
