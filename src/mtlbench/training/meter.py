"""Sums on the device that reach the host in one transfer per epoch."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


class Meter:
    """Named float64 sums; counts stay exact up to 2^53."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add ``value`` (any fixed shape) to the sum of that name, without a host synchronisation."""
        value = value.detach().to(torch.float64)
        if name in self.sums:
            self.sums[name] += value
        else:
            self.sums[name] = value.clone()

    def fetch(self) -> dict[str, np.ndarray]:
        """All sums on the host: one transfer."""
        if not self.sums:
            return {}
        flat = torch.cat([value.reshape(-1) for value in self.sums.values()]).cpu().numpy()
        ends = np.cumsum([value.numel() for value in self.sums.values()])
        parts = np.split(flat, ends[:-1])
        return {name: part.reshape(value.shape) for (name, value), part in zip(self.sums.items(), parts, strict=True)}

    def state_dict(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint in the middle of an epoch."""
        return dict(self.sums)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved sums."""
        self.sums = dict(state)
