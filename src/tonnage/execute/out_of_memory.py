"""Telling an out-of-memory failure from any other, by what was raised or printed."""

import re

# Exception classes and texts of the frameworks and drivers that report a full device:
# torch.OutOfMemoryError ("CUDA out of memory"), cupy.cuda.memory.OutOfMemoryError, JAX and
# TensorFlow ("RESOURCE_EXHAUSTED: Out of memory", ResourceExhaustedError), the CUDA runtime and
# driver (cudaErrorMemoryAllocation, CUDA_ERROR_OUT_OF_MEMORY), RAPIDS (rmm: std::bad_alloc).
_TYPES = frozenset({"OutOfMemoryError", "ResourceExhaustedError"})
_TEXT = re.compile(
    r"(CUDA|HIP) out of memory"
    r"|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory"
    r"|RESOURCE_EXHAUSTED: Out of memory"
    r"|std::bad_alloc: out_of_memory",
    re.IGNORECASE,
)


def says_out_of_memory(output: str) -> bool:
    """Whether what a test or its servers printed says that GPU memory ran out."""
    return _TEXT.search(output) is not None


def is_out_of_memory(type_name: str, text: str) -> bool:
    """Whether an exception of this type name and text says that GPU memory ran out."""
    return type_name.rpartition(".")[2] in _TYPES or _TEXT.search(text) is not None
