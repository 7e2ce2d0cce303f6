"""What depth and inverse depth share: one channel, L1 loss, absolute and relative error."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.scalars import median_value, ratio, value_histograms
from mtlbench.tasks import Task
from mtlbench.tasks._draw import colour_map


class DistanceTask(Task):
    """A positive number for every pixel: targets (N, 1, H, W), 0 = invalid."""

    channels = 1
    loss_name: ClassVar[str] = "L1"
    #: What the pictures show as the lowest and the highest colour, and the matplotlib colour map.
    display_range: tuple[float, float]
    colours: ClassVar[str]

    def activate(self, raw: Tensor) -> Tensor:
        """The raw output in float32; it may be negative, as in the reference codes."""
        return raw.float()

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Mean absolute difference over the valid pixels, in the target's unit."""
        valid = target != 0
        difference = torch.where(valid, (raw.float() - target.float()).abs(), 0.0)
        return difference.sum() / valid.sum().clamp(min=1)

    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """``abs`` and ``rel`` (N,) float64: sums of |p - t| and of |p - t| / t; ``count`` (N,) int64."""
        valid = target != 0
        truth = target.float()
        difference = torch.where(valid, (prediction - truth).abs(), 0.0)
        relative = difference / torch.where(valid, truth, 1.0)
        sums = {"abs": difference, "rel": relative}
        return {name: value.sum((1, 2, 3), dtype=torch.float64) for name, value in sums.items()} | {
            "count": valid.sum((1, 2, 3))
        }

    def reduce(self, totals: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Means of the absolute and relative errors over all valid pixels."""
        return {name: float(value) for name, value in self.reduce_many(totals).items()}

    def reduce_many(self, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metrics (...) from sums (...)."""
        return {f"{name}_error": ratio(totals[name], totals["count"]) for name in ("abs", "rel")}

    def target_statistics(self, target: Tensor) -> dict[str, Tensor]:
        """``values`` (N, bins) int64: a logarithmic histogram."""
        return {"values": value_histograms(target.float(), target != 0).flatten(1)}

    def constant_prediction(self, totals: Mapping[str, np.ndarray]) -> Tensor:
        """The median (1, 1, 1), which minimises the mean absolute error."""
        return torch.full((1, 1, 1), median_value(totals["values"]))

    def valid(self, target: Tensor) -> Tensor:
        """Pixels whose value is not 0."""
        return (target != 0).squeeze(1)

    def draw(self, map_: np.ndarray) -> np.ndarray:
        """The values through a colour map of fixed range, invalid (exactly 0) in flat grey."""
        return colour_map(map_[0], *self.display_range, self.colours, map_[0] != 0)

    def legend(self) -> list[tuple[str, np.ndarray]]:
        """The colour of invalid pixels, and the range that is drawn."""
        low, high = self.display_range
        values = np.linspace(max(low, high / 1000), high, 9, dtype=np.float16)
        text = f"{low:g} to {high:g} {self.metrics[0].unit}".strip()
        return [("invalid", np.zeros((1, 1, 1), np.float16)), (text, values[None, None])]

    def decode(self, prediction: Tensor) -> Tensor:
        """The values (N, 1, H, W) as float16, the type of stored targets."""
        return prediction.clamp(-65504, 65504).half()

    def error(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """|p - t| (H, W), NaN where invalid."""
        difference = np.abs(prediction[0].astype(np.float32) - target[0].astype(np.float32))
        return np.where(target[0] != 0, difference, np.float32("nan"))
