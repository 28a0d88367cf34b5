"""Memory caps: from what a test declares to the variables that hold it to that. Pure.

Each mode does what the one named before it does, and more, but for `mps`, which stands beside
`torch`:

    off            nothing
    cooperative    variables that launch scripts, engines and JAX read, if they do
    torch          PyTorch's allocator is limited in the test's own process (execute.torch_cap)
    mps            the driver limits every process of the test (execute.mps)

Only a declaration is a cap: a test that has whole cards, or no GPU, gets none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from tonnage.markers.engine_caps import cap_environment, fraction_environment
from tonnage.markers.requirement import Requirement

VramCaps = Literal["off", "cooperative", "torch", "mps"]
MODES = cast("tuple[VramCaps, ...]", get_args(VramCaps))

# The cap in force, in MiB per GPU, and the mode it is in: for the test's own process, not for it.
CAP_MIB = "TONNAGE_VRAM_CAP_MIB"
MODE = "TONNAGE_VRAM_CAPS"

_JAX_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
_MPS_LIMIT = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
# What fraction_environment keeps. A card would need a million GiB for the last digit to be a MiB.
_DIGITS = 10**12


@dataclass(frozen=True, slots=True)
class Caps:
    """How the tests of a run are capped.

    `capacities_mib` is by GPU UUID. `user` is the caller's environment: what it says of these
    variables wins. `mps` are the variables that lead to the run's MPS daemon, in that mode.
    """

    mode: VramCaps = "off"
    capacities_mib: Mapping[str, int] = field(default_factory=dict)
    user: Mapping[str, str] = field(default_factory=dict, repr=False)
    mps: Mapping[str, str] = field(default_factory=dict)

    def environment(self, requirement: Requirement, gpus: Sequence[str]) -> dict[str, str]:
        """The variables of a test that runs on these GPUs (UUIDs); `{}` for one without a GPU."""
        if self.mode == "off" or not gpus:
            return {}
        wanted = cap_environment(requirement.engine_caps)
        cap_mib = requirement.reserved_mib
        if cap_mib is not None:
            fractions = fraction_environment(self._fraction(cap_mib, gpus))
            wanted |= fractions
            wanted[_JAX_FRACTION] = next(iter(fractions.values()))
            if self.mode == "mps":
                # By the numbers under which the test will see its GPUs.
                wanted[_MPS_LIMIT] = ",".join(f"{n}={cap_mib}M" for n in range(len(gpus)))
        chosen = {name: text for name, text in wanted.items() if name not in self.user}
        if cap_mib is not None:
            chosen |= {CAP_MIB: str(cap_mib), MODE: self.mode}
        if self.mode == "mps":
            # An MPS daemon counts its own GPUs from 0: only UUIDs mean the same to all of us.
            chosen |= {**self.mps, "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
        return chosen

    def _fraction(self, cap_mib: int, gpus: Sequence[str]) -> float:
        """The share of a card that holds `cap_mib`: of the smallest one, and rounded up.

        One variable speaks for all the test's cards, and none may get less than was declared.
        """
        smallest_mib = min(self.capacities_mib[gpu] for gpu in gpus)
        return min(1.0, -(-cap_mib * _DIGITS // max(1, smallest_mib)) / _DIGITS)
