"""`--max-vram-gib`, `--stage` and `--fits`: leaving tests out, counted and explained."""

import os

import pytest

from tonnage.devices.open import open_devices
from tonnage.devices.spec import GpuSpec
from tonnage.errors import MarkerError
from tonnage.execute.collected import marks_of
from tonnage.execute.settled import Settled
from tonnage.markers.requirement import Requirement, requirement_of
from tonnage.markers.selection import Limits, MachineLimits, Selection, select
from tonnage.plugin.select_options import SelectOptions


class SelectPlugin:
    """Deselects after every other plugin has; its line explains how many and why."""

    def __init__(self, config: pytest.Config, options: SelectOptions, settled: Settled) -> None:
        self._config = config
        self._vocabulary = settled.vocabulary
        self._limits = Limits(
            max_vram_gib=options.max_vram_gib,
            stage=options.stage,
            machine=_machine(settled.gpu_spec()) if options.fits else None,
        )
        # Tells an unknown stage now instead of after the collection.
        select((), self._limits, self._vocabulary)
        self._selection: Selection | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        candidates = [
            (item.nodeid, requirement)
            for item in items
            if (requirement := self._requirement(item)) is not None
        ]
        self._selection = select(candidates, self._limits, self._vocabulary)
        dropped = {each.node_id for each in self._selection.dropped}
        if dropped:
            gone = [item for item in items if item.nodeid in dropped]
            items[:] = [item for item in items if item.nodeid not in dropped]
            self._config.hook.pytest_deselected(items=gone)

    def pytest_report_collectionfinish(self) -> list[str]:
        if self._selection is None:
            return []
        line = self._selection.summary_line()
        lines = [] if line is None else [line]
        if getattr(self._config.option, "verbose", 0) > 0:
            lines.extend(self._selection.detail_lines())
        return lines

    def _requirement(self, item: pytest.Item) -> Requirement | None:
        """What the test needs; None when its marks are wrong: it stays, and says so when packed."""
        try:
            return requirement_of(marks_of(item), self._vocabulary)
        except MarkerError:
            return None


def _machine(spec: GpuSpec) -> MachineLimits:
    devices = open_devices(spec, os.environ)
    try:
        return MachineLimits(tuple((gpu.name, gpu.capacity_mib) for gpu in devices.gpus))
    finally:
        devices.close()
