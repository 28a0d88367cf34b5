#!/usr/bin/env bash
# Serve a model with TensorRT-LLM inside the memory cap of the test that starts this script.
#
#     examples/engines/trtllm.sh MODEL [ARGUMENTS OF trtllm-serve]...
#
# ENGINE_CONFIG: a JSON object, or its file, with further options of the engine. trtllm-serve reads
# a file, so this script asks for JSON, which is YAML too. A launcher with a command-line option
# for the override (`--override-engine-args`) takes the output without --json instead.
set -euo pipefail

model=${1:?usage: trtllm.sh MODEL [ARGUMENTS]...}
config=$(tonnage engine-args trtllm --json ${ENGINE_CONFIG:+--merge "$ENGINE_CONFIG"})
if [[ -z $config ]]; then
    exec trtllm-serve "$model" "${@:2}"
fi
exec trtllm-serve "$model" "${@:2}" --extra_llm_api_options <(printf '%s\n' "$config")
