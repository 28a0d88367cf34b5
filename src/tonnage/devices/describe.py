"""The line that tells people which GPUs a run uses. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tonnage.devices.backend import DeviceGpu, NoGpu
from tonnage.devices.visibility import CUDA_MASK, CUDA_ORDER
from tonnage.units import format_gib, plural


def describe_gpus(
    source: str,
    present: Sequence[DeviceGpu],
    visible: Sequence[DeviceGpu],
    environ: Mapping[str, str],
) -> str:
    """`1 GPU: NVIDIA L4, 22.5 GiB (NVML)`, or why there is none.

    `source` is the backend's name, `present` what the machine has, `visible` what the mask in
    `environ` leaves of it.
    """
    if not present:
        return NoGpu.NO_DEVICES.value
    mask = environ.get(CUDA_MASK, "")
    if not visible:
        there_are = plural(len(present), "GPU")
        return f"{NoGpu.ALL_MASKED.value} (it is {mask!r}; the machine has {there_are})"

    text = _simulated(visible) if source == "simulated" else _real(visible)
    if len(visible) < len(present):
        text += f"; {CUDA_MASK} leaves {len(visible)} of {len(present)}"
    # Among equal cards it makes no difference which way they are counted.
    order = environ.get(CUDA_ORDER, "fastest first")
    if mask[:1].isdigit() and order != "PCI_BUS_ID" and len({gpu.name for gpu in present}) > 1:
        text += f"; indices counted in PCI order, not {order}"
    return text


def _simulated(gpus: Sequence[DeviceGpu]) -> str:
    sizes = dict.fromkeys(format_gib(gpu.capacity_mib) for gpu in gpus)
    return f"{plural(len(gpus), 'simulated GPU')} of {' and '.join(sizes)}"


def _real(gpus: Sequence[DeviceGpu]) -> str:
    kinds = Counter(f"{gpu.name}, {format_gib(gpu.capacity_mib)}" for gpu in gpus)
    if len(kinds) == 1:
        [kind] = kinds
        each = " each" if len(gpus) > 1 else ""
        return f"{plural(len(gpus), 'GPU')}: {kind}{each} (NVML)"
    parts = "; ".join(f"{count} x {kind}" for kind, count in kinds.items())
    return f"{plural(len(gpus), 'GPU')}: {parts} (NVML)"
