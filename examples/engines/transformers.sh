#!/usr/bin/env bash
# Serve a model with transformers inside the memory cap of the test that starts this script.
#
#     examples/engines/transformers.sh MODEL [ARGUMENTS OF transformers serve]...
#
# The cap limits the cache of continuous batching; without batching there is no cache to limit.
set -euo pipefail

model=${1:?usage: transformers.sh MODEL [ARGUMENTS]...}
arguments=$(tonnage engine-args transformers)
eval "caps=($arguments)"
exec transformers serve "$model" --continuous-batching "${@:2}" "${caps[@]}"
