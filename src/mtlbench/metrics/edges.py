"""F of predicted edges at the best threshold of the whole set (odsF), with a tolerance in pixels.

Martin, Fowlkes, Malik, "Learning to detect natural image boundaries using local brightness, color, and texture cues",
TPAMI 2004: a predicted pixel is right when a true edge is near, a true one is found when a predicted one is near, and
F = 2 P R / (P + R). Here *near* means within a distance; the published evaluation thins predictions first and matches
each pixel with one other (a minimum-cost assignment), so its numbers are not these.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.counting import count_per_image
from mtlbench.metrics.scalars import ratio

#: Thresholds are k / BINS for k = 1 .. BINS - 1, as in the published evaluation.
BINS = 100


def edge_counts(probability: Tensor, truth: Tensor, valid: Tensor, distance: float) -> dict[str, Tensor]:
    """Counts of each image, from which F at every threshold follows; all arguments (N, 1, H, W), two of them boolean.

    int64 (N, BINS) by probability: ``predicted`` all valid pixels, ``right`` those within ``distance`` (pixels) of a
    true edge, ``found`` true edges by the highest probability within ``distance`` of them. ``edges`` (N,): true edges.
    """
    truth = truth & valid
    near = spread(truth.float(), distance) > 0
    reached = spread(torch.where(valid, probability, -1.0), distance)
    bins = _bins(probability)
    return {
        "predicted": count_per_image(bins, valid, BINS),
        "right": count_per_image(bins, valid & near, BINS),
        "found": count_per_image(_bins(reached), truth, BINS),
        "edges": truth.sum((1, 2, 3)),
    }


def best_f(totals: Mapping[str, np.ndarray]) -> np.ndarray:
    """The largest F (...) over thresholds, in [0, 1], from counts (..., BINS) and (...); NaN without a true edge."""
    predicted, right, found = (_above(totals[name]) for name in ("predicted", "right", "found"))
    edges = np.asarray(totals["edges"], np.float64)[..., None]
    precision, recall = ratio(right, predicted), ratio(found, np.broadcast_to(edges, found.shape))
    both = np.nan_to_num(precision + recall)
    f = np.divide(2 * precision * recall, both, out=np.zeros(both.shape), where=both > 0)
    return np.where(edges[..., 0] > 0, f.max(-1), np.nan)


def spread(values: Tensor, distance: float) -> Tensor:
    """The largest of the values (N, 1, H, W) within ``distance`` pixels of each pixel, itself among them."""
    found, height = values.clone(), values.shape[-2]
    for down in range(-min(int(distance), height - 1), min(int(distance), height - 1) + 1):
        side = math.isqrt(int(distance**2) - down**2)
        rows = torch.nn.functional.max_pool2d(values, (1, 2 * side + 1), stride=1, padding=(0, side))
        start, end = max(0, -down), height - max(0, down)
        there = found[..., start:end, :]
        torch.maximum(there, rows[..., start + down : end + down, :], out=there)
    return found


def _bins(probability: Tensor) -> Tensor:
    return (probability * BINS).long().clamp(max=BINS - 1)


def _above(counts: np.ndarray) -> np.ndarray:
    """Counts (..., BINS - 1) of what is at or above each threshold."""
    return np.asarray(counts, np.float64)[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]
