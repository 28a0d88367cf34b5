import pytest

from tonnage.execute.environment import unit_environment, zygote_environment
from tonnage.markers.requirement import Requirement

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def test_threads_are_limited_unless_the_user_says_otherwise():
    environment = zygote_environment({"OMP_NUM_THREADS": "7", "HOME": "/h"}, "run")
    assert environment["OMP_NUM_THREADS"] == "7"
    assert environment["MKL_NUM_THREADS"] == "1"
    assert environment["HOME"] == "/h"
    assert environment["TONNAGE_RUN"] == "run"
    assert environment["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"


def test_the_cuda_check_of_the_user_stays():
    environment = zygote_environment({"PYTORCH_NVML_BASED_CUDA_CHECK": "0"}, "run")
    assert environment["PYTORCH_NVML_BASED_CUDA_CHECK"] == "0"


def test_threads_follow_the_declared_cpus():
    added = unit_environment({"OMP_NUM_THREADS": "7"}, {}, Requirement(cpus=4))
    assert added["MKL_NUM_THREADS"] == "4"
    assert "OMP_NUM_THREADS" not in added


def test_the_gpu_mask_reaches_the_test():
    added = unit_environment({}, {"CUDA_VISIBLE_DEVICES": "1"}, None)
    assert added["CUDA_VISIBLE_DEVICES"] == "1"
