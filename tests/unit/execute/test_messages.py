import json

import pytest

from tonnage.execute import messages
from tonnage.markers.requirement import Requirement

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

EXAMPLES = [
    messages.OpenSession(
        ["-q"], ["pytest", "-q"], "/d", 7, "/run", "/tmp", {}, "{}", {}, {"a.py": "why"}
    ),
    messages.StartProcess(1, [0, 3], True, 0, {"A": "b"}),
    messages.StartProcess(1, [0], True, 0, {}, 2, messages.FreshStart("/d/a.py", ["a.py::t"])),
    messages.EndProcess(1, 0.5),
    messages.EndSession(1),
    messages.MoreTests([4, 5], last=False),
    messages.Collecting("/d/a.py"),
    messages.CollectReportMade({"outcome": "passed"}),
    messages.Deselected(["a.py::t"]),
    messages.WarningRecorded("UserWarning", "careful", "a.py", 3, "runtest", "a.py::t", None),
    messages.CollectionFinished(
        [
            messages.CollectedTest(
                "a.py::t",
                "/d/a.py",
                ["a.py", 0, "t"],
                Requirement(
                    gpus=1,
                    vram_mib=1024,
                    reserved_mib=1127,
                    gpu_names=("h100",),
                    exclusive=frozenset({"port", "disk"}),
                    engine_caps=(("requested_vllm_kv_cache_bytes", 2.0),),
                ),
                None,
            )
        ],
        ["2 deselected"],
        {"/d/a.py": ["2 threads are running"]},
    ),
    messages.SessionEnded(0),
    messages.ProcessStarted(42),
    messages.ProcessEnded(1, 0, ["pid 3 (sleep)"]),
    messages.TestBegan(0, 12.5),
    messages.ReportMade(0, {"when": "call"}),
    messages.TestEnded(0, 13.5, "stop", exits=True, exit_status=3),
    messages.Hungry(),
    messages.Dropped([1]),
    messages.HandedOver("{}"),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message):
    assert messages.from_json(json.loads(json.dumps(messages.to_json(message)))) == message


def test_every_message_has_an_example():
    assert {type(example) for example in EXAMPLES} == set(messages.Message.__args__)


def test_an_unknown_message_is_refused():
    with pytest.raises(KeyError):
        messages.from_json({"is": "os.system"})
