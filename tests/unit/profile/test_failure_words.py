"""What failures of frameworks and engines say about memory, and how a probe's test ended."""

import pytest

from tonnage.profile.ending import ProbeError, ProcessEnd, read_ending
from tonnage.profile.model import NO_CAP, Cap, CapKind, ProbeOutcome
from tonnage.profile.words import Need, memory_outcome, named_need

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

CARD_MIB = 24 * 1024
QUARTER = Cap(CapKind.FRACTION, 0.25)
TORCH = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB of "
    "which 17.00 GiB is free. Of the allocated memory 5.50 GiB is allocated by PyTorch, and "
    "10.00 MiB is reserved by PyTorch but unallocated."
)
SIMULATED = (
    "CUDA out of memory (simulated). Tried to allocate 3.00 GiB. GPU 0 has a total capacity of "
    "24.00 GiB of which 20.00 GiB is free. This process tree is limited to 6.00 GiB by "
    "TONNAGE_VRAM_FRACTION=0.25 and has 2.00 GiB of that left."
)
VLLM_CACHE = (
    "To serve at least one request with the models's max seq len (8192), (0.50 GiB KV cache is "
    "needed, which is larger than the available KV cache memory (0.25 GiB)."
)
VLLM_TOKENS = (
    "The model's max seq len (131072) is larger than the maximum number of tokens that can be "
    "stored in KV cache (98304)."
)


@pytest.mark.parametrize(
    ("text", "cap", "need"),
    [
        (TORCH, QUARTER, Need(mib=7680)),
        (SIMULATED, QUARTER, Need(mib=7168)),
        (VLLM_CACHE, QUARTER, Need(mib=6144 + 256)),
        (VLLM_CACHE, Cap(CapKind.VLLM_BYTES, 2**28), Need(mib=512)),
        (VLLM_TOKENS, Cap(CapKind.SGLANG_TOKENS, 98304), Need(tokens=131072)),
        # What the whole process holds says nothing about an engine's cache.
        (TORCH, Cap(CapKind.VLLM_BYTES, 2**28), Need()),
        ("CUDA error: out of luck", QUARTER, Need()),
    ],
)
def test_the_need_is_read_from_a_failure(text, cap, need):
    assert named_need(text, cap, CARD_MIB) == need


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (TORCH, ProbeOutcome.OUT_OF_MEMORY),
        (VLLM_CACHE, ProbeOutcome.DOES_NOT_FIT),
        (VLLM_TOKENS, ProbeOutcome.DOES_NOT_FIT),
        ("No available memory for the cache blocks.", ProbeOutcome.DOES_NOT_FIT),
        ("connection refused", None),
    ],
)
def test_memory_is_recognised_as_the_reason(text, outcome):
    assert memory_outcome("ValueError", text) is outcome


def phase(when, outcome="passed", text="", output="", kind="", wasxfail=False):
    return {
        "kind": "phase",
        "when": when,
        "outcome": outcome,
        "text": text,
        "type": kind,
        "output": output,
        "wasxfail": wasxfail,
        "duration_s": 1.0,
        "counted_mib": None,
    }


ONE = {"kind": "collected", "tests": ["test_a.py::test_a"], "count": 1}
GOOD = [ONE, phase("setup"), phase("call"), phase("teardown")]


def ending_of(lines, end=None, output=""):
    return read_ending("test_a.py", lines, end or ProcessEnd(0, None), output, NO_CAP, CARD_MIB)


@pytest.mark.parametrize(
    ("lines", "end", "outcome", "reason"),
    [
        (GOOD, None, ProbeOutcome.PASSED, ""),
        (
            [ONE, phase("setup"), phase("call", "failed", "no\nwhy"), phase("teardown")],
            None,
            ProbeOutcome.FAILED,
            "no",
        ),
        (
            [ONE, phase("setup", "skipped", "no card"), phase("teardown")],
            None,
            ProbeOutcome.SKIPPED,
            "no card",
        ),
        (
            [ONE, phase("setup"), phase("call", "skipped", wasxfail=True), phase("teardown")],
            None,
            ProbeOutcome.PASSED,
            "",
        ),
        (
            [ONE, phase("setup"), phase("call"), phase("teardown", "failed", "left open")],
            None,
            ProbeOutcome.FAILED,
            "left open",
        ),
        (
            [ONE, phase("setup")],
            ProcessEnd(None, "SIGSEGV"),
            ProbeOutcome.CRASHED,
            "its process ended with SIGSEGV",
        ),
        (
            [ONE, phase("setup")],
            ProcessEnd(None, "SIGKILL", timed_out=True),
            ProbeOutcome.TIMEOUT,
            "it ran longer than it may",
        ),
    ],
)
def test_how_a_test_ended_is_told_from_its_phases(lines, end, outcome, reason):
    ending = ending_of(lines, end)
    assert (ending.outcome, ending.reason) == (outcome, reason)


def test_memory_that_ran_out_in_an_engine_is_found_in_what_it_printed():
    failed = phase(
        "call", "failed", "the server did not come up", output=TORCH, kind="TimeoutError"
    )
    ending = ending_of([ONE, phase("setup"), failed, phase("teardown")])
    assert ending.outcome is ProbeOutcome.OUT_OF_MEMORY
    assert ending.reason == "the server did not come up"


def test_the_last_of_several_tries_counts():
    failed = [phase("setup"), phase("call", "failed", "once"), phase("teardown")]
    assert ending_of([ONE, *failed, *GOOD[1:]]).outcome is ProbeOutcome.PASSED


@pytest.mark.parametrize(
    ("lines", "end", "output", "reason"),
    [
        ([], ProcessEnd(4, None), "ERROR: not found: test_b.py", "not found: test_b.py"),
        ([{**ONE, "count": 0, "tests": []}], ProcessEnd(5, None), "", "no test is selected"),
        (
            [{**ONE, "count": 2, "tests": ["a", "b"]}],
            ProcessEnd(5, None),
            "",
            "these are 2 tests (a, b)",
        ),
    ],
)
def test_what_is_no_single_test_is_refused(lines, end, output, reason):
    with pytest.raises(ProbeError, match=r"test_a\.py") as refused:
        ending_of(lines, end, output)
    assert refused.value.reason.startswith(reason)
