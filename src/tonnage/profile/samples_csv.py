"""The raw samples of a profile as CSV: one row for each sample, GPU and probe. Pure."""

import csv
import io

from tonnage.profile.model import SearchResult

COLUMNS = (
    "probe",
    "cap",
    "outcome",
    "time_s",
    "gpu",
    "used_mib",
    "test_mib",
    "utilisation_percent",
    "host_mib",
)


def samples_csv(result: SearchResult) -> str:
    """All samples of all probes; an empty field is what the driver did not tell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index, probe in enumerate(result.probes, 1):
        for sample in probe.samples:
            for gpu, used_mib in sample.used_mib.items():
                writer.writerow(
                    [
                        index,
                        probe.cap.text(),
                        probe.outcome.value,
                        f"{sample.at_s:.3f}",
                        gpu,
                        used_mib,
                        sample.own_mib.get(gpu),
                        sample.utilisation.get(gpu),
                        sample.host_mib,
                    ]
                )
    return text.getvalue()
