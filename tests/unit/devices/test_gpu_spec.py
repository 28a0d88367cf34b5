"""What `--gpus` may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.devices.spec import MOST_SIMULATED_GPUS, GpuSpec, parse_gpu_spec
from tonnage.errors import OptionError

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("nvml", GpuSpec("nvml")),
        ("auto", GpuSpec("nvml")),
        (" NVML ", GpuSpec("nvml")),
        ("none", GpuSpec("none")),
        ("sim:2x24", GpuSpec("simulated", (24576, 24576))),
        ("sim:1x22,1x80", GpuSpec("simulated", (22528, 81920))),
        ("sim:1x22.5", GpuSpec("simulated", (23040,))),
        ("sim: 1x1 , 2x2", GpuSpec("simulated", (1024, 2048, 2048))),
        (f"sim:{MOST_SIMULATED_GPUS}x1", GpuSpec("simulated", (1024,) * MOST_SIMULATED_GPUS)),
    ],
)
def test_what_is_understood(text, spec):
    assert parse_gpu_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names no source of GPUs"),
        ("simulated", "names no source of GPUs"),
        ("2x24", "names no source of GPUs"),
        ("sim:", "is not COUNTxGIB"),
        ("sim:24", "is not COUNTxGIB"),
        ("sim:2x24,", "is not COUNTxGIB"),
        ("sim:,2x24", "is not COUNTxGIB"),
        ("sim:-1x24", "is not COUNTxGIB"),
        ("sim:2x-24", "is not COUNTxGIB"),
        ("sim:2x24GiB", "is not COUNTxGIB"),
        ("sim:2xnan", "is not COUNTxGIB"),
        ("sim:٢x24", "is not COUNTxGIB"),
        ("sim:0x24", "asks for no card"),
        ("sim:2x0", "no size a card can have"),
        ("sim:2x0.0", "no size a card can have"),
        ("sim:1x" + "9" * 400, "no size a card can have"),
        (f"sim:{MOST_SIMULATED_GPUS + 1}x1", "more than 1024"),
        ("sim:1000x1,25x1", "more than 1024"),
        ("sim:" + "9" * 5000 + "x1", "more than 1024"),
    ],
)
def test_nonsense_names_the_option_and_the_remedy(text, complaint):
    with pytest.raises(OptionError, match=complaint) as caught:
        parse_gpu_spec(text)
    assert caught.value.where == "--gpus"
    assert caught.value.remedy


def test_the_place_of_the_text_is_named():
    with pytest.raises(OptionError) as caught:
        parse_gpu_spec("many", where="TONNAGE_GPUS")
    assert str(caught.value).startswith("TONNAGE_GPUS: ")


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=20))
def test_a_spec_is_written_as_text_that_means_the_same(cards):
    spec = GpuSpec("simulated", tuple(cards))
    assert parse_gpu_spec(str(spec)) == spec
