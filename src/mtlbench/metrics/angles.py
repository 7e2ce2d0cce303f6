"""Angles between predicted and true surface normals, in degrees."""

import math

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.scalars import ratio

#: Width of a bin of the angle histogram, and how many there are from 0 to 180 degrees.
BIN_DEGREES = 0.1
BINS = 1800
_BLOCK = 40
#: The thresholds of the tables of NYUv2 (Fouhey et al., ICCV 2013).
THRESHOLDS = (11.25, 22.5, 30.0)
# Vectors shorter than this are not stretched to unit length, so that a gradient stays below 1e6.
_SHORTEST = 1e-6


def unit_vectors(vectors: Tensor) -> Tensor:
    """Vectors (N, 3, ...) scaled to length one, float32; zero stays zero."""
    vectors = vectors.float()
    return vectors * torch.rsqrt(_squared_length(vectors).clamp(min=_SHORTEST**2)).unsqueeze(1)


def _squared_length(vectors: Tensor) -> Tensor:
    x, y, z = vectors.unbind(1)  # written out: a reduction over three channels is many times slower on a CPU
    return x * x + y * y + z * z


def angles(prediction: Tensor, target: Tensor) -> Tensor:
    """Angle in degrees between unit vectors (N, 3, H, W): float32 (N, H, W).

    Computed from the chord, 2 asin(|p - t| / 2): exact for small angles, where the arc cosine of the dot
    product loses 0.03 degrees in float32.
    """
    chord = _squared_length(prediction - target).sqrt()
    return torch.asin((chord / 2).clamp(max=1.0)) * (360 / math.pi)


def median_angle(histogram: np.ndarray) -> np.ndarray:
    """The median (...) in degrees from histograms (..., BINS), interpolated inside its bin; NaN when one is empty.

    Within ``BIN_DEGREES`` of the median of the single angles, by construction. Found in two steps, the block of bins
    and then the bin: thousands of histograms are summed up only block by block. Sums of counts are exact in any order.
    """
    blocks = np.asarray(histogram, np.float64).reshape(*np.shape(histogram)[:-1], -1, _BLOCK)
    sums = blocks.sum(-1)
    half = sums.sum(-1, keepdims=True) / 2
    block, before = _reached(sums, half)
    inside_block = np.take_along_axis(blocks, block[..., None], -2)[..., 0, :]
    index, more = _reached(inside_block, half - before)
    inside = np.take_along_axis(inside_block, index, -1)
    position = block * _BLOCK + index
    return np.where(half > 0, (position + ratio(half - (before + more), inside)) * BIN_DEGREES, np.nan)[..., 0]


def _reached(counts: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first place (..., 1) of counts (..., n) at which their running sum is ``wanted`` (..., 1); the sum before."""
    running = np.cumsum(counts, axis=-1)
    place = np.minimum((running < wanted).sum(-1, keepdims=True), counts.shape[-1] - 1)
    return place, np.take_along_axis(running, place, -1) - np.take_along_axis(counts, place, -1)
