import pytest

from tonnage.execute.out_of_memory import is_out_of_memory

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB"),
        ("torch.OutOfMemoryError", ""),
        ("RuntimeError", "CUDA error: out of memory: cudaErrorMemoryAllocation"),
        ("RuntimeError", "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating 8589934592 bytes"),
        ("ResourceExhaustedError", "OOM when allocating tensor"),
        ("MemoryError", "std::bad_alloc: out_of_memory: CUDA error at cuda_memory_resource.hpp"),
        ("RuntimeError", "HIP out of memory. Tried to allocate"),
    ],
)
def test_frameworks_and_drivers_are_recognised(type_name, text):
    assert is_out_of_memory(type_name, text)


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("MemoryError", ""),  # the host's memory, not a GPU's
        ("AssertionError", "expected an out of memory message"),
        ("RuntimeError", "CUDA error: device-side assert triggered"),
    ],
)
def test_other_failures_are_not(type_name, text):
    assert not is_out_of_memory(type_name, text)
