"""Notices operations that a GPU would make the host wait for."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class HostChecks(TorchDispatchMode):
    """Raises at operations that make the host wait for the device (or whose CUDA form does), or that have had no
    deterministic form on CUDA in a supported version of torch."""

    BANNED = ("_local_scalar_dense", "nonzero", "item", "_linalg_eigh", "_linalg_svd", "unique", "equal.default")
    RANDOM_ORDER = ("cumsum", "scatter", "index_put", "index_add", "histc", "bincount", "median", "kthvalue")

    def __init__(self, order: bool = True) -> None:
        """``order``: also those without a deterministic form."""
        super().__init__()
        self.random_order = self.RANDOM_ORDER if order else ()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(banned in name for banned in self.BANNED) or (
            name.startswith("aten.index.Tensor") and any(i is not None and i.dtype == torch.bool for i in args[1])
        ):
            raise AssertionError(f"{name} waits for the device")
        if any(banned in name for banned in self.random_order):
            raise AssertionError(f"{name} is not deterministic")
        return func(*args, **(kwargs or {}))
