"""The vocabularies a project can start from: `serving` and `minimal`."""

from collections.abc import Mapping
from types import MappingProxyType

from tonnage.markers.vocabulary import Category, Marker, Vocabulary

_RESOURCES = (
    Marker(
        "max_vram_gib",
        Category.VRAM,
        "VRAM this test needs on each GPU, safety included; 0: allocates none",
        "gib",
    ),
    Marker(
        "profiled_vram_gib",
        Category.VRAM,
        "VRAM peak measured on each GPU; a margin is added when it is reserved",
        "gib",
    ),
    Marker(
        "needs",
        Category.OTHER,
        "what this test needs, in one line",
        "gpus=, vram_gib=, cpus=, memory_gib=, exclusive=, group=, isolation=",
    ),
    Marker("timeout", Category.OTHER, "seconds the test may take; 0: no limit", "seconds"),
)

_SERVING = (
    Marker("pre_merge", Category.LIFECYCLE, "runs before a change is merged, and later"),
    Marker("post_merge", Category.LIFECYCLE, "runs once a change is merged, and later"),
    Marker("nightly", Category.LIFECYCLE, "runs every night, and later"),
    Marker("weekly", Category.LIFECYCLE, "runs every week, and before a release"),
    Marker("release", Category.LIFECYCLE, "runs before a release"),
    Marker("unit", Category.TYPE, "tests one unit of code"),
    Marker("integration", Category.TYPE, "tests several parts together"),
    Marker("e2e", Category.TYPE, "tests the whole system from outside"),
    Marker("benchmark", Category.TYPE, "measures, to compare"),
    Marker("performance", Category.TYPE, "holds a performance target"),
    Marker("stress", Category.TYPE, "tests under heavy load"),
    Marker("multimodal", Category.TYPE, "tests images, audio or video"),
    Marker("gpu_0", Category.HARDWARE, "needs no GPU and sees none"),
    Marker("gpu_1", Category.HARDWARE, "needs 1 GPU"),
    Marker("gpu_2", Category.HARDWARE, "needs 2 GPUs at once"),
    Marker("gpu_4", Category.HARDWARE, "needs 4 GPUs at once"),
    Marker("gpu_8", Category.HARDWARE, "needs 8 GPUs at once"),
    Marker("h100", Category.HARDWARE, "needs GPUs with H100 in their name"),
    *_RESOURCES[:2],
    Marker(
        "requested_vllm_kv_cache_bytes",
        Category.ENGINE_CAP,
        "KV cache, in bytes, that vLLM is started with",
        "bytes",
    ),
    Marker(
        "requested_sglang_kv_tokens",
        Category.ENGINE_CAP,
        "KV cache, in tokens, that SGLang is started with",
        "tokens",
    ),
    Marker(
        "requested_trtllm_kv_tokens",
        Category.ENGINE_CAP,
        "KV cache, in tokens, that TensorRT-LLM is started with",
        "tokens",
    ),
    Marker(
        "requested_trtllm_vram_gib",
        Category.ENGINE_CAP,
        "VRAM, in GiB, that TensorRT-LLM is started with",
        "gib",
    ),
    Marker("vllm", Category.COMPONENT, "concerns the vLLM backend"),
    Marker("trtllm", Category.COMPONENT, "concerns the TensorRT-LLM backend"),
    Marker("sglang", Category.COMPONENT, "concerns the SGLang backend"),
    Marker("kvbm", Category.COMPONENT, "concerns the KV block manager"),
    Marker("kvbm_concurrency", Category.COMPONENT, "concerns concurrent use of the block manager"),
    Marker("planner", Category.COMPONENT, "concerns the planner"),
    Marker("router", Category.COMPONENT, "concerns the router"),
    Marker("k8s", Category.INFRASTRUCTURE, "needs a Kubernetes cluster"),
    Marker("deploy", Category.INFRASTRUCTURE, "deploys the system"),
    Marker("fault_tolerance", Category.INFRASTRUCTURE, "breaks parts of the system on purpose"),
    Marker(
        "parallel",
        Category.EXECUTION,
        "may run beside other tests: takes free ports, shares no files",
    ),
    *_RESOURCES[2:],
    Marker("slow", Category.OTHER, "takes long"),
    Marker("skip", Category.OTHER, "never runs", 'reason=""', built_in=True),
    Marker(
        "skipif",
        Category.OTHER,
        "does not run when the condition holds",
        'condition, *, reason=""',
        built_in=True,
    ),
    Marker(
        "xfail",
        Category.OTHER,
        "is expected to fail",
        'condition, *, reason="", raises=, run=, strict=',
        built_in=True,
    ),
    Marker("custom_build", Category.OTHER, "needs a build of its own"),
    Marker("model", Category.OTHER, "uses this model", "name"),
    Marker("aiconfigurator", Category.OTHER, "concerns the AI configurator"),
    Marker("flaky", Category.OTHER, "is tried again when it fails", "reruns=, only_rerun="),
    Marker(
        "quarantine",
        Category.OTHER,
        "notes a test that is known to be unreliable: why, until when, who",
        "ticket=, until=, owner=",
    ),
)

PRESETS: Mapping[str, Vocabulary] = MappingProxyType(
    {"serving": Vocabulary(_SERVING), "minimal": Vocabulary(_RESOURCES)}
)
