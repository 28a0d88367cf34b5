"""docs/reliability.md: the table of faults and what becomes of them.

`python -m tests.faults.page` runs the fault suite and, if every fault goes as it should, writes it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"

_HEAD = """# What happens when something breaks

Each row is a fault that Tonnage's own tests inject into a real packed run, in `tests/faults`. In
every case, but where the run as a whole is ended, the results of all other tests are as they would
be without it, on CPU and on a GPU. And afterwards nothing is left: no process, no temporary
directory, no reservation.

| where | what breaks | what you see |
|---|---|---|
"""


def page(faults: Sequence[Fault]) -> str:
    """The page as Markdown."""
    rows = [f"| {each.part} | {each.what} | {each.result} |\n" for each in faults]
    return _HEAD + "".join(rows)


def main() -> int:
    """Run the suite and write the page; the suite's exit status."""
    suite = Path(__file__).with_name("test_faults.py")
    status = int(pytest.main(["--pack", str(suite), "-k", "test_a_fault"]))
    if status == 0:
        PAGE.write_text(page(FAULTS), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
