"""Errors of depth beside absolute and relative ones: root mean square, and shares within a factor."""

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.metric import Metric
from mtlbench.metrics.scalars import ratio

#: delta < 1.25, 1.25^2, 1.25^3 (Eigen, Puhrsch, Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale
#: Deep Network", NeurIPS 2014, section 4.2), and the root mean square error over all valid pixels.
FACTORS = (1.25, 1.25**2, 1.25**3)
METRICS = (
    Metric("rmse", "RMSE", "m", False, decimals=4, secondary=True),
    Metric("delta_1", "δ<1.25", "%", True, scale=100.0, secondary=True),
    Metric("delta_2", "δ<1.25²", "%", True, scale=100.0, secondary=True),
    Metric("delta_3", "δ<1.25³", "%", True, scale=100.0, secondary=True),
)


def squares_and_factors(prediction: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """``squared`` (N,) float64: sums of (p - t)^2 over the valid pixels; ``within`` (N, 3) int64: pixels with
    max(p / t, t / p) below each factor. All (N, 1, H, W); a prediction that is not positive is within none."""
    prediction, truth = prediction.double(), target.double()
    squared = torch.where(valid, (prediction - truth).square(), 0.0)
    within = [
        (valid & (prediction < factor * truth) & (factor * prediction > truth)).sum((1, 2, 3)) for factor in FACTORS
    ]
    return {"squared": squared.sum((1, 2, 3)), "within": torch.stack(within, 1)}


def root_and_shares(squared: np.ndarray, within: np.ndarray, count: np.ndarray) -> dict[str, np.ndarray]:
    """The values of ``METRICS`` (...) from sums (...) and counts (..., 3) over ``count`` (...) pixels."""
    shares = [ratio(hits, count) for hits in np.moveaxis(np.asarray(within), -1, 0)]
    values = [np.sqrt(ratio(squared, count)), *shares]
    return {metric.name: value for metric, value in zip(METRICS, values, strict=True)}
