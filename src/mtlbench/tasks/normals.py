"""Surface normals."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.angles import BIN_DEGREES, BINS, THRESHOLDS, angles, median_angle, unit_vectors
from mtlbench.metrics.counting import count_per_image
from mtlbench.metrics.metric import Metric
from mtlbench.metrics.scalars import ratio
from mtlbench.tasks import Directions, Task
from mtlbench.tasks._draw import INVALID


class Normals(Task):
    """A unit vector for every pixel: one minus the mean dot product; angles in degrees.

    Targets (N, 3, H, W) in camera axes (x right, y down, z forward), (0, 0, 0) = invalid. A pixel is valid when
    any channel is not zero; the reference codes add up the channels and so drop good normals.
    """

    metrics: tuple[Metric, ...] = (
        Metric("angle_mean", "Mean", "°", False, primary=True),
        Metric("angle_median", "Median", "°", False),
        Metric("within_11_25", "<11.25°", "%", True, scale=100.0),
        Metric("within_22_5", "<22.5°", "%", True, scale=100.0),
        Metric("within_30", "<30°", "%", True, scale=100.0),
    )
    loss_name: ClassVar[str] = "1 − mean cosine"
    error_range: tuple[float, float, str] = (0.0, 60.0, "°")
    maps = Directions()
    channels = 3

    def activate(self, raw: Tensor) -> Tensor:
        """Unit vectors, float32."""
        return unit_vectors(raw)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """1 - mean dot product of predicted and true unit vectors over the valid pixels, in [0, 2]."""
        valid = self.valid(target)
        dot = (unit_vectors(raw) * target.float()).sum()  # nothing where the target is zero
        count = valid.sum()
        return (count - dot) / count.clamp(min=1)

    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Sums over the valid pixels of each image.

        ``angle`` (N,) float64: sum of the angles in degrees; ``within`` (N, 3) int64: pixels below each threshold;
        ``histogram`` (N, 1800) int64: bins of 0.1 degree; ``count`` (N,) int64.
        """
        valid = self.valid(target)
        angle = angles(prediction, unit_vectors(target))
        bins = (angle * (1 / BIN_DEGREES)).long().clamp(max=BINS - 1)
        near = [((angle < threshold) & valid).sum((1, 2)) for threshold in THRESHOLDS]
        return {
            "angle": torch.where(valid, angle, 0.0).sum((1, 2), dtype=torch.float64),
            "within": torch.stack(near, dim=1),
            "histogram": count_per_image(bins, valid, BINS),
            "count": valid.sum((1, 2)),
        }

    def reduce(self, totals: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Mean and median angle in degrees over all valid pixels; shares below the thresholds in [0, 1]."""
        return {name: float(value) for name, value in self.reduce_many(totals).items()}

    def reduce_many(self, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metrics (...) from sums (...), (..., 3) and histograms (..., 1800)."""
        shares = [ratio(near, totals["count"]) for near in np.moveaxis(np.asarray(totals["within"]), -1, 0)]
        values = [ratio(totals["angle"], totals["count"]), median_angle(totals["histogram"]), *shares]
        return {metric.name: value for metric, value in zip(self.metrics, values, strict=True)}

    def target_statistics(self, target: Tensor) -> dict[str, Tensor]:
        """``sum`` (N, 3) float64: the normals added up."""
        return {"sum": target.sum((2, 3), dtype=torch.float64)}

    def constant_prediction(self, totals: Mapping[str, np.ndarray]) -> Tensor:
        """The mean direction (3, 1, 1), which maximises the mean dot product."""
        return unit_vectors(torch.from_numpy(totals["sum"]).view(1, 3))[0].view(3, 1, 1)

    def valid(self, target: Tensor) -> Tensor:
        """Pixels with any channel not zero."""
        return target.abs().amax(1) != 0

    def draw(self, map_: np.ndarray) -> np.ndarray:
        """Red = right, green = up, blue = towards the camera; invalid in flat grey."""
        signs = np.array([1, -1, -1], np.float32)[:, None, None]
        picture = ((map_.astype(np.float32) * signs + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
        picture = np.moveaxis(picture, 0, -1).copy()
        picture[~(map_ != 0).any(0)] = INVALID
        return picture

    def decode(self, prediction: Tensor) -> Tensor:
        """Unit vectors (N, 3, H, W) as float16, the type of stored targets."""
        return prediction.half()

    def error(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The angle in degrees (H, W), NaN where invalid."""
        pair = [unit_vectors(torch.from_numpy(np.ascontiguousarray(m))[None]) for m in (prediction, target)]
        return np.where((target != 0).any(0), angles(*pair)[0].numpy(), np.float32("nan"))
