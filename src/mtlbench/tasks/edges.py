"""Edges: the boundaries between classes."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import ndimage
from torch import Tensor

from mtlbench.metrics.edges import best_f, edge_counts
from mtlbench.metrics.metric import Metric
from mtlbench.tasks import Task, Values
from mtlbench.tasks._draw import colour_map

_UNKNOWN = -1.0


class Edges(Task):
    """Boundaries of the classes of a segmentation: weighted binary cross entropy; odsF with a tolerance.

    Made from the labels, so every data set with a segmentation has it. A pixel is an edge when another class than its
    own lies within ``width`` pixels of it along rows and columns (a square of 2 width + 1 pixels), so that an edge is
    2 width pixels wide; void pixels are no class, and are neither trained nor counted. Targets (N, 1, H, W): 1 edge, 0
    none, -1 void; random zoom mixes values between pixels. Predictions are probabilities. The loss and its weight are
    those of Maninis, Radosavovic, Kokkinos, "Attentive single-tasking of multiple tasks", CVPR 2019.
    """

    derived_from: ClassVar[str] = "segmentation"
    metrics: tuple[Metric, ...] = (Metric("ods_f", "odsF", "%", True, scale=100.0, primary=True),)
    loss_name: ClassVar[str] = "weighted cross entropy"
    maps = Values(number=1, lowest=0.0, highest=1.0, invalid=_UNKNOWN)
    channels = 1
    error_range: tuple[float, float, str] = (0.0, 1.0, "")

    def __init__(
        self,
        *,
        width: Annotated[int, Field(ge=1, le=64, description="pixels on each side of a boundary that are edge")] = 1,
        positive_weight: Annotated[
            float, Field(gt=0, lt=1, description="weight of an edge pixel in the loss; of any other 1 minus it")
        ] = 0.95,
        tolerance: Annotated[
            float, Field(ge=0, le=0.1, description="distance that odsF forgives, as a share of the image's diagonal")
        ] = 0.011,
    ) -> None:
        self.width, self.positive_weight, self.tolerance = width, positive_weight, tolerance

    def derive(self, source: np.ndarray) -> np.ndarray:
        """Edges (N, 1, H, W) float16 of labels (N, H, W), -1 = void."""
        size = (1, 2 * self.width + 1, 2 * self.width + 1)
        known = source >= 0
        highest = ndimage.maximum_filter(source, size, mode="nearest")
        lowest = ndimage.minimum_filter(np.where(known, source, np.int8(127)), size, mode="nearest")
        edge = (highest != source) | (lowest != source)
        return np.where(known, edge, np.float16(_UNKNOWN)).astype(np.float16)[:, None]

    def activate(self, raw: Tensor) -> Tensor:
        """Probabilities, float32."""
        return torch.sigmoid(raw.float())

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """-w t log p - (1 - w) (1 - t) log(1 - p), mean over the pixels that are not void."""
        valid = target != _UNKNOWN
        scores, truth, softplus = raw.float(), target.float(), torch.nn.functional.softplus
        edge, other = truth * softplus(-scores), (1 - truth) * softplus(scores)
        each = self.positive_weight * edge + (1 - self.positive_weight) * other
        return torch.where(valid, each, 0.0).sum() / valid.sum().clamp(min=1)

    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Counts by probability (``edge_counts``); a target of 0.5 or more is an edge."""
        distance = self.tolerance * math.hypot(*target.shape[-2:])
        return edge_counts(prediction.expand_as(target), target >= 0.5, target != _UNKNOWN, distance)

    def reduce(self, totals: Mapping[str, np.ndarray]) -> dict[str, float]:
        """odsF in [0, 1]: the best F of one threshold for all images."""
        return {name: float(value) for name, value in self.reduce_many(totals).items()}

    def reduce_many(self, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metric (...) from counts (..., 100)."""
        return {"ods_f": best_f(totals)}

    def target_statistics(self, target: Tensor) -> dict[str, Tensor]:
        """``edges`` (N,) float64 and ``count`` (N,) int64: the sum of the valid targets, and their number."""
        valid = target != _UNKNOWN
        edges = torch.where(valid, target.double(), 0.0).sum((1, 2, 3))
        return {"edges": edges, "count": valid.sum((1, 2, 3))}

    def constant_prediction(self, totals: Mapping[str, np.ndarray]) -> Tensor:
        """The probability (1, 1, 1) with the lowest loss: the weighted share of edges."""
        edges = float(totals["edges"]) * self.positive_weight
        others = (float(totals["count"]) - float(totals["edges"])) * (1 - self.positive_weight)
        return torch.full((1, 1, 1), edges / (edges + others) if edges + others else math.nan)

    def valid(self, target: Tensor) -> Tensor:
        """Pixels that are not void."""
        return (target != _UNKNOWN).squeeze(1)

    def draw(self, map_: np.ndarray) -> np.ndarray:
        """Edges black on white, void in flat grey."""
        return colour_map(map_[0], 0.0, 1.0, "gray_r", map_[0] != _UNKNOWN)

    def legend(self) -> list[tuple[str, np.ndarray]]:
        """The three values."""
        values = {"void": _UNKNOWN, "no edge": 0.0, "edge": 1.0}
        return [(text, np.full((1, 1, 1), value, np.float16)) for text, value in values.items()]

    def decode(self, prediction: Tensor) -> Tensor:
        """Probabilities (N, 1, H, W) as float16, the type of targets."""
        return prediction.half()

    def error(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """|p - t| (H, W), NaN where void."""
        difference = np.abs(prediction[0].astype(np.float32) - target[0].astype(np.float32))
        return np.where(target[0] != _UNKNOWN, difference, np.float32("nan"))
