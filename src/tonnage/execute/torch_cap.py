"""`--vram-caps torch` inside a test process: PyTorch's allocator is held to the declaration.

Nothing is imported and no CUDA context is made for a test that does not do so itself: torch is
looked at when it is imported, and limited when it initialises CUDA.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from tonnage.execute.caps import CAP_MIB, MODE

_BYTES_PER_MIB = 1024 * 1024


def cap_torch(environ: Mapping[str, str] = os.environ) -> None:
    """Limit torch in this process, now or when it comes, if its environment says so."""
    if environ.get(MODE) != "torch" or not environ.get(CAP_MIB, "").isdigit():
        return
    cap_mib = int(environ[CAP_MIB])
    torch = sys.modules.get("torch")
    if torch is not None:
        _limit_with_cuda(torch, cap_mib)
    else:
        sys.meta_path.insert(0, _WhenTorchComes(cap_mib))


def _limit_with_cuda(torch: Any, cap_mib: int) -> None:
    """Have torch run the limit at the end of its CUDA initialisation; now if that is over.

    `_lazy_call` is how torch itself keeps what must wait for that, such as a seed. A torch without
    it, or without CUDA, is left alone.
    """
    cuda = getattr(torch, "cuda", None)
    lazily = getattr(cuda, "_lazy_call", None)
    if lazily is not None:
        lazily(lambda: _limit(cuda, cap_mib))


def _limit(cuda: Any, cap_mib: int) -> None:
    for device in range(cuda.device_count()):
        total = cuda.get_device_properties(device).total_memory
        # Torch cuts the product to whole bytes; the next float above keeps it from losing one.
        fraction = math.nextafter(cap_mib * _BYTES_PER_MIB / total, math.inf)
        cuda.set_per_process_memory_fraction(min(1.0, fraction), device)


class _WhenTorchComes(importlib.abc.MetaPathFinder):
    """Finds nothing itself: it lets the others find torch, and looks at what was loaded."""

    def __init__(self, cap_mib: int) -> None:
        self._cap_mib = cap_mib
        self._is_asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Torch as the other finders find it, with our look at it appended to its loading."""
        if fullname != "torch" or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self, self._cap_mib)
        return spec


class _Loader(importlib.abc.Loader):
    """A module's own loader, and afterwards the limit."""

    def __init__(self, loader: Any, finder: _WhenTorchComes, cap_mib: int) -> None:
        self._loader = loader
        self._finder = finder
        self._cap_mib = cap_mib

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """As the loader does, whose name the module keeps; then the limit, once."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        _limit_with_cuda(module, self._cap_mib)
