"""The share of light that a surface reflects, by colour."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.metric import Metric
from mtlbench.metrics.scalars import ratio
from mtlbench.tasks import Task, Values


class Albedo(Task):
    """Reflected share of red, green and blue light: mean absolute difference; mean absolute and root mean square error.

    Targets (N, 3, H, W) in [0, 1]; every pixel is valid.
    """

    metrics: tuple[Metric, ...] = (
        Metric("abs_error", "Abs. err.", "", False, decimals=4, primary=True),
        Metric("rms_error", "RMS err.", "", False, decimals=4),
    )
    maps = Values(number=3, lowest=0.0, highest=1.0)
    loss_name: ClassVar[str] = "L1"
    error_range: tuple[float, float, str] = (0.0, 0.5, "")
    channels = 3

    def activate(self, raw: Tensor) -> Tensor:
        """The raw output in float32."""
        return raw.float()

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Mean absolute difference over pixels and channels."""
        return (raw.float() - target.float()).abs().mean()

    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """``abs`` and ``square`` (N,) float64: sums over pixels and channels; ``count`` (N,) int64: their number."""
        difference = prediction - target.float()
        return {
            "abs": difference.abs().sum((1, 2, 3), dtype=torch.float64),
            "square": difference.square().sum((1, 2, 3), dtype=torch.float64),
            "count": torch.full((len(target),), target[0].numel(), device=target.device),
        }

    def reduce(self, totals: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Both errors, shares of the light."""
        mean, square = (float(ratio(totals[name], totals["count"])) for name in ("abs", "square"))
        return {"abs_error": mean, "rms_error": square**0.5}

    def target_statistics(self, target: Tensor) -> dict[str, Tensor]:
        """``sum`` (N, 3) float64 and ``count`` (N,) int64."""
        pixels = torch.full((len(target),), target[0, 0].numel(), device=target.device)
        return {"sum": target.sum((2, 3), dtype=torch.float64), "count": pixels}

    def constant_prediction(self, totals: Mapping[str, np.ndarray]) -> Tensor:
        """The mean colour (3, 1, 1)."""
        return torch.from_numpy(totals["sum"] / totals["count"]).float().view(3, 1, 1)

    def valid(self, target: Tensor) -> Tensor:
        """All pixels."""
        return torch.ones_like(target[:, 0], dtype=torch.bool)

    def draw(self, map_: np.ndarray) -> np.ndarray:
        """The colours themselves."""
        return np.moveaxis((map_.astype(np.float32) * 255).round().clip(0, 255).astype(np.uint8), 0, -1)

    def decode(self, prediction: Tensor) -> Tensor:
        """The values (N, 3, H, W) as float16, the type of stored targets."""
        return prediction.clamp(-1, 2).half()

    def error(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The mean difference of the three channels (H, W)."""
        return np.abs(prediction.astype(np.float32) - target.astype(np.float32)).mean(0)
