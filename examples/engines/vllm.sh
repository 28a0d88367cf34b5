#!/usr/bin/env bash
# Serve a model with vLLM inside the memory cap of the test that starts this script.
#
#     examples/engines/vllm.sh MODEL [ARGUMENTS OF vllm serve]...
set -euo pipefail

model=${1:?usage: vllm.sh MODEL [ARGUMENTS]...}
# Nothing outside a capped run: the engine then takes what it takes by itself. The words come
# quoted for the shell, and caps stand last: they win over what the caller gives.
arguments=$(tonnage engine-args vllm)
eval "caps=($arguments)"
exec vllm serve "$model" "${@:2}" "${caps[@]}"
