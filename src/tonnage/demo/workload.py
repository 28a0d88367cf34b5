"""The published job as data: 23 GPU tests of one CI job on an NVIDIA L4, and 213 fillers."""

import csv
from dataclasses import dataclass
from importlib import resources

CARD_GIB = 22
SLOTS = 8
# How long the published job took with its own packing, on the real card, in seconds. It had 239
# tests, three more than the table. Source: ai-dynamo/dynamo,
# tests/utils/test_pytest_parallel_gpu.py at 32792635144a, and its pull request 10126.
OBSERVED_S = 1764.0


@dataclass(frozen=True, slots=True)
class DemoTest:
    """One test of the job: GiB of VRAM (0: a filler, which needs no GPU) and seconds."""

    name: str
    vram_gib: float
    runtime_s: float
    timeout_s: float

    @property
    def is_filler(self) -> bool:
        """Whether it needs no GPU."""
        return self.vram_gib == 0

    @property
    def area(self) -> str:
        """The part of the product it is about, which is the file it goes to."""
        if self.is_filler:
            return "fillers"
        prefixes = {"mm": "multimodal", "kvbm": "kvbm", "router": "router"}
        return prefixes.get(self.name.partition("_")[0], "serve")


def published_job() -> tuple[DemoTest, ...]:
    """The tests of the job, in its order."""
    text = resources.files("tonnage.demo").joinpath("l4_job.csv").read_text(encoding="utf-8")
    return tuple(
        DemoTest(
            row["name"],
            float(row["vram_gib"]),
            float(row["runtime_s"]),
            float(row["timeout_s"]),
        )
        for row in csv.DictReader(text.splitlines())
    )
