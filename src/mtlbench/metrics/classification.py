"""Accuracies of classification from counts of images."""

import numpy as np
import torch
from torch import Tensor


def hits(logits: Tensor, target: Tensor, most: int) -> Tensor:
    """Whether the true class is among the ``most`` best of each image: int64 (N,); 0 where ``target`` is negative.

    ``logits`` (N, K), ``target`` (N,). A class that is as good as the true one and comes before it counts as better, so
    equal logits are no lucky hits; NaN is never a hit.
    """
    wanted = target.long().clamp(min=0)[:, None]
    true = logits.gather(1, wanted)
    number = torch.arange(logits.shape[1], device=logits.device)
    better = (logits > true) | ((logits == true) & (number < wanted))
    found = (better.sum(1) < most) & torch.isfinite(true[:, 0]) & (target >= 0)
    return found.long()


def share(hits: np.ndarray, images: np.ndarray) -> np.ndarray:
    """``hits`` / ``images`` of any equal shapes, in [0, 1]; NaN without images."""
    count = np.asarray(images, np.float64)
    return np.where(count > 0, np.asarray(hits, np.float64) / np.maximum(count, 1), np.nan)


def decathlon_score(errors: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The score S of the Visual Decathlon: the sum over domains of 1000 max(0, 1 - E / E_max)^2.

    Rebuffi, Bilen, Vedaldi, "Learning multiple visual domains with residual adapters", NeurIPS 2017, eq. 4. ``errors``
    (..., D) are shares of wrong images, ``largest`` (D,) those with which a domain gives nothing: twice the error of a
    network that was trained for the domain alone. Each domain gives up to 1000 points; NaN where one is unknown or
    ``largest`` is 0.
    """
    errors, largest = np.asarray(errors, np.float64), np.asarray(largest, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(largest > 0, 1 - errors / largest, np.nan)
    total: np.ndarray = (1000 * np.maximum(gain, 0) ** 2).sum(-1)
    return total
