"""The launch scripts in examples/engines give their engines the caps in the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packed import PATIENCE_S

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(120),
]

SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "engines"
# Stands for every engine: says what it was called with, and what is in the file it was given.
ENGINE = """#!/bin/sh
printf '%s\\n' "$@"
for argument; do case $argument in /dev/fd/*) cat "$argument";; esac; done
"""


@pytest.fixture
def launch(tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("vllm", "python", "trtllm-serve", "transformers"):
        (commands / name).write_text(ENGINE)
        (commands / name).chmod(0o755)
    (commands / "tonnage").symlink_to(Path(sys.executable).parent / "tonnage")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TONNAGE_", "DYN_", "ENGINE_"))
    }
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"

    def run(script, *args, **caps):
        return subprocess.run(
            [SCRIPTS / script, "a model", *args],
            env={**kept, "PATH": path, **caps},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("script", "caps", "begin", "end"),
    [
        ("vllm.sh", {}, ["serve", "a model"], ["--port", "0"]),
        (
            "vllm.sh",
            {"TONNAGE_VLLM_KV_CACHE_BYTES": "1073741824"},
            ["serve", "a model", "--port", "0"],
            ["--kv-cache-memory-bytes", "1073741824", "--gpu-memory-utilization", "0.01"],
        ),
        (
            "sglang.sh",
            {"DYN_GPU_MEMORY_FRACTION_OVERRIDE": "0.4"},
            ["-m", "sglang.launch_server", "--model-path", "a model", "--port", "0"],
            ["--mem-fraction-static", "0.4"],
        ),
        (
            "transformers.sh",
            {"TONNAGE_VRAM_FRACTION": "0.4"},
            ["serve", "a model", "--continuous-batching"],
            ["--cb-max-memory-percent", "0.4"],
        ),
        ("trtllm.sh", {}, ["a model"], ["--port", "0"]),
    ],
    ids=["vllm without cap", "vllm", "sglang", "transformers", "trtllm without cap"],
)
def test_an_engine_is_started_within_its_cap(launch, script, caps, begin, end):
    done = launch(script, "--port", "0", **caps)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[: len(begin)] == begin
    assert words[-len(end) :] == end


def test_trtllm_reads_its_cap_merged_with_its_own_configuration(launch):
    own = '{"backend": "pytorch", "kv_cache_config": {"dtype": "fp8"}}'
    done = launch("trtllm.sh", TONNAGE_TRTLLM_KV_TOKENS="4096", ENGINE_CONFIG=own)
    assert done.returncode == 0, done.stderr
    words, _, configuration = done.stdout.partition("{")
    assert words.splitlines()[:2] == ["a model", "--extra_llm_api_options"]
    assert json.loads("{" + configuration) == {
        "backend": "pytorch",
        "kv_cache_config": {"dtype": "fp8", "max_tokens": 4096},
    }


def test_a_cap_that_is_no_number_keeps_the_engine_from_starting(launch):
    done = launch("vllm.sh", TONNAGE_VRAM_FRACTION="most of it")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "'most of it' is no fraction of a card" in done.stderr
