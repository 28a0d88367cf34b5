#!/usr/bin/env bash
# Serve a model with SGLang inside the memory cap of the test that starts this script.
#
#     examples/engines/sglang.sh MODEL [ARGUMENTS OF sglang.launch_server]...
set -euo pipefail

model=${1:?usage: sglang.sh MODEL [ARGUMENTS]...}
arguments=$(tonnage engine-args sglang)
eval "caps=($arguments)"
exec python -m sglang.launch_server --model-path "$model" "${@:2}" "${caps[@]}"
