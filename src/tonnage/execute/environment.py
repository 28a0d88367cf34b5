"""The environment variables of zygote and test processes. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from tonnage.markers.requirement import Requirement

# Libraries that would each start a thread per core in every one of many processes.
_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)
# Lets torch answer "is there a GPU" from NVML, without a CUDA context that forbids forking:
# https://docs.pytorch.org/docs/stable/cuda_environment_variables.html
_NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"


def zygote_environment(user: Mapping[str, str], run_id: str) -> dict[str, str]:
    """What the collecting process gets: the user's, with thread limits they did not set.

    And the run's mark, by which whatever descends from it is known (execute.family).
    """
    defaults = {name: "1" for name in _THREAD_LIMITS if name not in user}
    if _NVML_CHECK not in user:
        defaults[_NVML_CHECK] = "1"
    return {**user, **defaults, "TONNAGE_RUN": run_id}


def unit_environment(
    user: Mapping[str, str],
    gpu_environment: Mapping[str, str],
    requirement: Requirement | None,
    caps: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """What a test process gets on top of the zygote's; `requirement` None for a worker.

    Thread limits follow the declared CPU slots, unless the user set them. `caps` are the variables
    of its memory cap (execute.caps).
    """
    added = {**gpu_environment, **caps}
    if requirement is not None and requirement.cpus > 1:
        added |= {name: str(requirement.cpus) for name in _THREAD_LIMITS if name not in user}
    return added
