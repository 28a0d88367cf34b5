"""What one test needs, resolved from its marks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one test needs. Memory is MiB; VRAM is per GPU.

    `gpus` None: no hardware declared. 0: sees no GPU. `vram_mib` None: nothing declared, which
    on a GPU test means whole cards. `reserved_mib` is `vram_mib` with the margin that a measured
    (not declared) figure still needs. `gpu_names` restricts the card by a substring of its name.
    """

    gpus: int | None = None
    vram_mib: int | None = None
    reserved_mib: int | None = None
    gpu_names: tuple[str, ...] = ()
    cpus: int = 1
    memory_mib: int = 0
    timeout_s: float | None = None
    exclusive: frozenset[str] = frozenset()
    group: str | None = None
    engine_caps: tuple[tuple[str, float], ...] = ()
    lifecycle: str | None = None
