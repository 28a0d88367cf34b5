"""The arguments that make each engine honour the caps in the environment."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from tonnage.cli.main import app
from tonnage.errors import OptionError
from tonnage.markers.engine_caps import (
    ENGINE_CAPS,
    FRACTION_VARIABLES,
    cap_environment,
    fraction_environment,
)
from tonnage.markers.presets import PRESETS
from tonnage.markers.vocabulary import Category
from tonnage.profile.engine_args import (
    Launcher,
    engine_arguments,
    parse_override,
    trtllm_configuration,
)

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

GIB = 1 << 30


@pytest.mark.parametrize("launcher", Launcher)
def test_without_a_cap_there_is_nothing_to_add(launcher):
    assert engine_arguments(launcher, {}) == []
    assert engine_arguments(launcher, dict.fromkeys(FRACTION_VARIABLES, "")) == []


@pytest.mark.parametrize(
    ("launcher", "flag"),
    [
        (Launcher.VLLM, "--gpu-memory-utilization"),
        (Launcher.SGLANG, "--mem-fraction-static"),
        (Launcher.TRTLLM, "--free-gpu-memory-fraction"),
        (Launcher.TRANSFORMERS, "--cb-max-memory-percent"),
    ],
)
def test_a_fraction_becomes_the_engines_own_flag(launcher, flag):
    assert engine_arguments(launcher, fraction_environment(0.36)) == [flag, "0.36"]


@pytest.mark.parametrize(
    ("launcher", "cap", "arguments"),
    [
        (
            Launcher.VLLM,
            ("requested_vllm_kv_cache_bytes", 2 * GIB),
            ["--kv-cache-memory-bytes", str(2 * GIB), "--gpu-memory-utilization", "0.01"],
        ),
        (
            Launcher.SGLANG,
            ("requested_sglang_kv_tokens", 4096),
            ["--max-total-tokens", "4096"],
        ),
        (
            Launcher.TRTLLM,
            ("requested_trtllm_kv_tokens", 4096),
            ["--override-engine-args", '{"kv_cache_config":{"max_tokens":4096}}'],
        ),
        (
            Launcher.TRTLLM,
            ("requested_trtllm_vram_gib", 1.5),
            [
                "--override-engine-args",
                f'{{"kv_cache_config":{{"max_gpu_total_bytes":{GIB * 3 // 2}}}}}',
            ],
        ),
    ],
)
def test_an_absolute_cap_goes_before_the_fraction(launcher, cap, arguments):
    environment = {**cap_environment([cap]), **fraction_environment(0.5)}
    assert engine_arguments(launcher, environment) == arguments
    others = [each for each in Launcher if each is not launcher]
    assert all(engine_arguments(each, environment)[1] == "0.5" for each in others)


def test_of_two_fractions_the_smaller_counts():
    smaller_last = dict(zip(FRACTION_VARIABLES, ("0.9", "0.25"), strict=True))
    assert engine_arguments(Launcher.SGLANG, smaller_last) == ["--mem-fraction-static", "0.25"]


def test_an_override_is_kept_and_the_caps_are_merged_into_it():
    own = {"max_batch_size": 8, "kv_cache_config": {"dtype": "fp8", "max_tokens": 99}}
    capped = cap_environment([("requested_trtllm_kv_tokens", 4096)])
    _, merged = engine_arguments(Launcher.TRTLLM, capped, own)
    assert json.loads(merged) == {
        "max_batch_size": 8,
        "kv_cache_config": {"dtype": "fp8", "max_tokens": 4096},
    }
    assert engine_arguments(Launcher.TRTLLM, {}, own) == [
        "--override-engine-args",
        json.dumps(own, separators=(",", ":")),
    ]


def test_as_a_configuration_the_fraction_is_a_field():
    assert trtllm_configuration(fraction_environment(0.4), {"backend": "pytorch"}) == {
        "backend": "pytorch",
        "kv_cache_config": {"free_gpu_memory_fraction": 0.4},
    }
    assert trtllm_configuration({}) == {}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({FRACTION_VARIABLES[0]: "1.5"}, "'1.5' is no fraction of a card"),
        ({FRACTION_VARIABLES[1]: "0"}, "'0' is no fraction of a card"),
        ({FRACTION_VARIABLES[1]: "half"}, "'half' is no fraction of a card"),
        ({"TONNAGE_VLLM_KV_CACHE_BYTES": "-1"}, "'-1' is no number of bytes"),
        ({"TONNAGE_VLLM_KV_CACHE_BYTES": "nan"}, "'nan' is no number of bytes"),
        ({"TONNAGE_VLLM_KV_CACHE_BYTES": "0.5"}, "'0.5' is no number of bytes"),
    ],
)
def test_a_cap_that_is_no_number_is_refused_by_the_name_of_its_variable(environment, message):
    with pytest.raises(OptionError) as caught:
        engine_arguments(Launcher.VLLM, environment)
    assert caught.value.where in environment
    assert caught.value.reason == message


@pytest.mark.parametrize("text", ["[1]", "{", '"a"'])
def test_an_override_must_be_an_object(text):
    with pytest.raises(OptionError):
        parse_override(text, "--merge")


def test_caps_cannot_be_merged_into_something_else():
    capped = cap_environment([("requested_trtllm_kv_tokens", 4096)])
    with pytest.raises(OptionError, match="kv_cache_config"):
        engine_arguments(Launcher.TRTLLM, capped, {"kv_cache_config": "fp8"})


def test_the_table_has_every_cap_of_the_vocabulary():
    declared = [marker.meaning for marker in PRESETS["serving"].of(Category.ENGINE_CAP)]
    assert [cap.role for cap in ENGINE_CAPS] == declared


def test_a_fraction_of_whole_mib_gives_those_mib_back():
    for capacity_mib in (4096, 23028, 81559, 1 << 20):
        for mib in (1, 333, capacity_mib - 1):
            [text] = set(fraction_environment(mib / capacity_mib).values())
            assert round(float(text) * capacity_mib, 5) == mib


def test_the_command_prints_one_line_that_a_shell_reads_back(monkeypatch):
    monkeypatch.setenv("TONNAGE_TRTLLM_KV_TOKENS", "64")
    done = CliRunner().invoke(app, ["engine-args", "trtllm", "--merge", '{"a": "it\'s; rm -rf"}'])
    assert done.exit_code == 0
    [line] = done.output.splitlines()
    flag, merged = shlex.split(line)
    assert flag == "--override-engine-args"
    assert json.loads(merged) == {"a": "it's; rm -rf", "kv_cache_config": {"max_tokens": 64}}


def test_the_command_reads_an_override_from_a_file(tmp_path):
    own = tmp_path / "engine.json"
    own.write_text('{"backend": "pytorch"}')
    done = CliRunner().invoke(app, ["engine-args", "trtllm", "--merge", str(own), "--json"])
    assert json.loads(done.output) == {"backend": "pytorch"}


@pytest.mark.parametrize(
    "args",
    [
        ["trtllm", "--merge", "nowhere.json"],
        ["vllm", "--merge", "{}"],
        ["sglang", "--json"],
    ],
)
def test_what_the_command_cannot_use_is_an_error(args):
    done = CliRunner().invoke(app, ["engine-args", *args])
    assert isinstance(done.exception, OptionError)
