"""Visibility masks: what `CUDA_VISIBLE_DEVICES` leaves of a machine, and how to narrow it. Pure.

A mask is read as the CUDA runtime reads it, because a GPU that the caller did not lend must not
be used, and one that CUDA would not show must not be planned on:

    unset              every GPU
    empty              none
    indices            `1,0`; leading blanks and trailing letters are skipped as strtol does
    UUIDs              whole or any prefix that one GPU alone has, such as `GPU-8932f937`
    MIG names          `MIG-...`, whole or a unique prefix
    invalid entry      ends the list: `0,-1,1` and `0,nine,1` leave GPU 0
    repeated GPU       leaves none
    mixed notation     ends the list at the first entry unlike the first one

A narrower mask is written from the caller's own entries, in the caller's notation: indices of
one mask mean nothing inside another.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CUDA_MASK = "CUDA_VISIBLE_DEVICES"
CUDA_ORDER = "CUDA_DEVICE_ORDER"
# Each narrows at its own level of the ROCm stack, so one that is set must be narrowed as well.
ROCM_MASKS = ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")

_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Visible:
    """One visible GPU, and the entry of the caller's mask that names it."""

    uuid: str
    entry: str


def visible_gpus(mask: str | None, uuids: Sequence[str]) -> tuple[Visible, ...]:
    """The GPUs of `uuids` (PCI order) that `mask` leaves, in the order of the mask.

    An empty string in `uuids` keeps the place of a GPU that is lost. `mask` None means that the
    variable is unset. Never raises: CUDA has a meaning for every text.
    """
    if mask is None:
        # A MIG instance has no index of its own, and CUDA may or may not count a lost GPU; where
        # there is either, only UUIDs are sure to mean the right one.
        by_uuid = any(not uuid or uuid.startswith("MIG-") for uuid in uuids)
        return tuple(
            Visible(uuid, uuid if by_uuid else str(index))
            for index, uuid in enumerate(uuids)
            if uuid
        )

    visible: list[Visible] = []
    entries = [entry.strip() for entry in mask.split(",")]
    notation = _notation(entries[0])
    for entry in entries:
        uuid = _named_gpu(entry, uuids) if _notation(entry) == notation else None
        if uuid is None:
            break
        if any(uuid == earlier.uuid for earlier in visible):
            return ()
        visible.append(Visible(uuid, entry))
    return tuple(visible)


def mask_environment(
    uuids: Sequence[str], visible: Sequence[Visible], environ: Mapping[str, str]
) -> dict[str, str]:
    """Variables that show a process exactly `uuids`, in that order; none of them for an empty one.

    `visible` is the outer mask as read, `environ` the environment it came from.
    Raises ValueError for a UUID outside the outer mask.
    """
    position = {gpu.uuid: place for place, gpu in enumerate(visible)}
    outside = [uuid for uuid in uuids if uuid not in position]
    if outside:
        raise ValueError(f"not visible here: {', '.join(outside)}")

    places = [position[uuid] for uuid in uuids]
    variables = {CUDA_MASK: ",".join(visible[place].entry for place in places)}
    if any(_notation(visible[place].entry) == "index" for place in places):
        # CUDA otherwise counts the fastest card first, NVML by PCI bus.
        variables[CUDA_ORDER] = "PCI_BUS_ID"
    # HIP's mask counts within ROCR's: where both are set, narrowing the inner one is enough.
    name = next((name for name in ROCM_MASKS if name in environ), None)
    if name is not None:
        lent = [entry.strip() for entry in environ[name].split(",")]
        variables[name] = ",".join(lent[place] for place in places if place < len(lent))
    return variables


def _notation(entry: str) -> str:
    for prefix in ("GPU-", "MIG-"):
        if entry.startswith(prefix):
            return prefix
    return "index"


def _named_gpu(entry: str, uuids: Sequence[str]) -> str | None:
    if _notation(entry) == "index":
        number = _NUMBER.match(entry)
        # No machine has GPUs beyond nine digits, and Python refuses to read very long numbers.
        if number is None or len(number[0]) > 9:
            return None
        index = int(number[0])
        return uuids[index] or None if 0 <= index < len(uuids) else None
    if entry in uuids:
        return entry
    named = [uuid for uuid in uuids if uuid.startswith(entry)]
    return named[0] if len(named) == 1 else None
