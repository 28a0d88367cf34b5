import pytest

from tonnage.execute.output import (
    SECTION_LIMIT,
    shorten_sections,
    shortened,
    tail,
    without_our_frames,
)

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def test_short_output_stays_whole():
    assert shortened("x" * SECTION_LIMIT) == "x" * SECTION_LIMIT


def test_long_output_keeps_its_ends_and_says_what_is_missing():
    text = "first\n" + "x" * (2 * SECTION_LIMIT) + "\nlast"
    short = shortened(text)
    assert short.startswith("first\n")
    assert short.endswith("\nlast")
    assert len(short) < SECTION_LIMIT
    omitted = int(short.partition("[... ")[2].partition(" ")[0])
    assert omitted + 2 * 1024 * 1024 == len(text)


def test_only_long_sections_of_a_report_are_touched():
    report = {"sections": [["out", "short"], ["err", "x" * (SECTION_LIMIT + 1)]]}
    sections = shorten_sections(report)["sections"]
    assert tuple(sections[0]) == ("out", "short")
    assert "left out" in sections[1][1]


def test_the_tail_of_a_missing_file_is_empty(tmp_path):
    assert tail(tmp_path / "none") == ""


def test_the_tail_begins_at_a_line_and_survives_odd_bytes(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"first line\n" + b"\xff" * 10 + b"\nlast\n")
    assert tail(path, limit_bytes=18) == "�" * 10 + "\nlast"


def test_a_stack_ends_where_pytest_called_the_test():
    text = "\n".join(
        [
            "Fatal Python error: Segmentation fault",
            "",
            "Current thread 0x01 (most recent call first):",
            '  File "test_a.py", line 3 in test_a',
            '  File "/lib/_pytest/python.py", line 1 in pytest_pyfunc_call',
            '  File "/lib/pluggy/_execution.py", line 1 in _multicall',
            "",
            "Thread 0x02 (most recent call first):",
            '  File "worker.py", line 9 in loop',
        ]
    )
    assert without_our_frames(text).splitlines() == [
        "Fatal Python error: Segmentation fault",
        "",
        "Current thread 0x01 (most recent call first):",
        '  File "test_a.py", line 3 in test_a',
        "  ... called by pytest",
        "",
        "Thread 0x02 (most recent call first):",
        '  File "worker.py", line 9 in loop',
    ]
