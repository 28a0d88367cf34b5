"""The arguments that make an inference engine honour the caps in its environment. Pure.

An absolute cap, which the author of a test declares for one engine, goes before the fraction, which
holds for any test: the two together would only have the engine start with the lesser of both.

    engine        fraction of the card            absolute cap
    vLLM          --gpu-memory-utilization        --kv-cache-memory-bytes
    SGLang        --mem-fraction-static           --max-total-tokens
    TensorRT-LLM  --free-gpu-memory-fraction      --override-engine-args with kv_cache_config
    transformers  --cb-max-memory-percent         none

The flags are those of `vllm serve`, `sglang.launch_server`, Dynamo's TensorRT-LLM worker and
`transformers serve` with continuous batching.
"""

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from tonnage.errors import OptionError
from tonnage.markers.engine_caps import ENGINE_CAPS, FRACTION_VARIABLES, CapUnit, EngineCap

# Before it starts, vLLM wants this share of the card free, also where the cache has a fixed size.
# Beside other tests only a tiny share is sure to be.
_VLLM_START_SHARE = "0.01"
_BYTES_PER_GIB = 1 << 30


class Launcher(str, Enum):
    """The engines that arguments can be written for."""

    VLLM = "vllm"
    SGLANG = "sglang"
    TRTLLM = "trtllm"
    TRANSFORMERS = "transformers"


def engine_arguments(
    launcher: Launcher, environ: Mapping[str, str], override: Mapping[str, Any] | None = None
) -> list[str]:
    """The arguments for this engine; empty when the environment caps nothing.

    `override` is TensorRT-LLM's engine override that the launch script has of its own: it comes
    back with the caps merged into it, also where there are none. Raises OptionError for a cap
    that is no positive number and for an override that caps cannot be merged into.
    """
    fraction = _fraction(environ)
    match launcher:
        case Launcher.VLLM:
            if caps := _caps(launcher, environ):
                return [
                    *("--kv-cache-memory-bytes", str(int(caps[CapUnit.BYTES]))),
                    *("--gpu-memory-utilization", _VLLM_START_SHARE),
                ]
            return _flag("--gpu-memory-utilization", fraction)
        case Launcher.SGLANG:
            if caps := _caps(launcher, environ):
                return ["--max-total-tokens", str(int(caps[CapUnit.TOKENS]))]
            return _flag("--mem-fraction-static", fraction)
        case Launcher.TRTLLM:
            absolute = _trtllm_cache(environ)
            arguments = [] if absolute else _flag("--free-gpu-memory-fraction", fraction)
            if absolute or override:
                merged = json.dumps(_merged(override or {}, absolute), separators=(",", ":"))
                arguments += ["--override-engine-args", merged]
            return arguments
        case Launcher.TRANSFORMERS:
            return _flag("--cb-max-memory-percent", fraction)


def trtllm_configuration(
    environ: Mapping[str, str], override: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The caps and `override` as one configuration for TensorRT-LLM; empty when there is neither.

    For launchers that read it from a file, such as `trtllm-serve --config`. Raises OptionError
    as `engine_arguments` does.
    """
    cache: dict[str, Any] = _trtllm_cache(environ)
    fraction = _fraction(environ)
    if not cache and fraction is not None:
        cache = {"free_gpu_memory_fraction": float(fraction)}
    return _merged(override or {}, cache)


def parse_override(text: str, where: str) -> dict[str, Any]:
    """A TensorRT-LLM override given as the text of a JSON object; raises OptionError."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise OptionError(
            f"this is not JSON: {error}", where=where, remedy="Give a JSON object or its file."
        ) from error
    if not isinstance(value, dict):
        raise OptionError(
            "the override is not a JSON object",
            where=where,
            remedy='Give one such as {"max_batch_size": 8}.',
        )
    return value


def _trtllm_cache(environ: Mapping[str, str]) -> dict[str, Any]:
    caps = _caps(Launcher.TRTLLM, environ)
    cache: dict[str, Any] = {}
    if CapUnit.TOKENS in caps:
        cache["max_tokens"] = int(caps[CapUnit.TOKENS])
    if CapUnit.GIB in caps:
        cache["max_gpu_total_bytes"] = int(caps[CapUnit.GIB] * _BYTES_PER_GIB)
    return cache


def _merged(override: Mapping[str, Any], cache: Mapping[str, Any]) -> dict[str, Any]:
    own = override.get("kv_cache_config") or {}
    if not isinstance(own, dict):
        raise OptionError(
            "kv_cache_config of the override is not a JSON object",
            where="--merge",
            remedy="Give its fields by name; the caps are added to them.",
        )
    return {**override, "kv_cache_config": {**own, **cache}} if cache else dict(override)


def _caps(launcher: Launcher, environ: Mapping[str, str]) -> dict[CapUnit, float]:
    return {
        cap.unit: _absolute(cap, environ[cap.variable])
        for cap in ENGINE_CAPS
        if cap.engine.value == launcher.value and environ.get(cap.variable)
    }


def _absolute(cap: EngineCap, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf or (cap.unit is not CapUnit.GIB and value < 1):
        raise OptionError(
            f"{text!r} is no number of {cap.unit.value}",
            where=cap.variable,
            remedy="Give a positive number, or unset it for no cap.",
        )
    return value


def _fraction(environ: Mapping[str, str]) -> str | None:
    """The smallest fraction that the environment sets, as it is written there."""
    given = [(name, environ[name]) for name in FRACTION_VARIABLES if environ.get(name)]
    fractions = [(_share(name, text), text.strip()) for name, text in given]
    return min(fractions)[1] if fractions else None


def _share(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise OptionError(
            f"{text!r} is no fraction of a card",
            where=name,
            remedy="Give a number above 0 and up to 1, or unset it for no cap.",
        )
    return value


def _flag(name: str, fraction: str | None) -> list[str]:
    return [] if fraction is None else [name, fraction]
