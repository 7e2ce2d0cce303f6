"""Reductions of one-channel maps (depth, inverse depth)."""

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.counting import count_per_image

# Logarithmic bins of positive values, from 1e-6 to 1e3 in steps of 0.46 percent.
_DECADES = (-6, 3)
_BINS_PER_DECADE = 500
_BINS = (_DECADES[1] - _DECADES[0]) * _BINS_PER_DECADE


def value_histograms(values: Tensor, valid: Tensor) -> Tensor:
    """Logarithmic histogram of each image's positive values: int64 (N, bins), for :func:`median_value`."""
    position = (torch.log10(values.clamp(min=1e-12)) - _DECADES[0]) * _BINS_PER_DECADE
    return count_per_image(position.clamp(0, _BINS - 1).long(), valid, _BINS)


def median_value(histogram: np.ndarray) -> float:
    """The median, within 0.5 percent, from a histogram of :func:`value_histograms`; NaN when it is empty."""
    cumulative = np.cumsum(histogram)
    if not cumulative[-1]:
        return float("nan")
    index = int(np.searchsorted(cumulative, cumulative[-1] / 2))
    return float(10 ** ((index + 0.5) / _BINS_PER_DECADE + _DECADES[0]))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, element by element, float64; NaN for 0 / 0: a mean over no pixels is not a number."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)
