"""Semantic segmentation from one confusion matrix: rows are targets, columns predictions."""

import numpy as np
import torch
from torch import Tensor

from mtlbench.metrics.counting import count_per_image
from mtlbench.metrics.scalars import ratio


def confusion_matrices(prediction: Tensor, target: Tensor, classes: int) -> Tensor:
    """Confusion matrix of each image: int64 (N, classes, classes), [n, t, p] = pixels of class t predicted as p.

    ``prediction`` (N, H, W) class indices; ``target`` (N, H, W) class indices, negative = void, not counted.
    """
    pairs = target.long() * classes + prediction
    return count_per_image(pairs, target >= 0, classes * classes).view(-1, classes, classes)


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, float64 (..., K) in [0, 1]; NaN for a class that occurs nowhere.

    ``confusion`` is (..., K, K). A class in the prediction but never in the target has IoU 0.
    """
    confusion = np.asarray(confusion, np.float64)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = confusion.sum(-1) + confusion.sum(-2) - hits
    return np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray) -> np.ndarray:
    """Mean IoU (...) over the classes that occur in targets or predictions; NaN without any valid pixel."""
    iou = class_iou(confusion)
    present = ~np.isnan(iou)
    return ratio(np.where(present, iou, 0).sum(-1), present.sum(-1))


def pixel_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share (...) of valid pixels whose class is right, in [0, 1]; NaN without any valid pixel."""
    confusion = np.asarray(confusion)
    return ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def argmax_classes(scores: Tensor) -> Tensor:
    """The class with the highest score: int64 (N, H, W) from (N, K, H, W); the first of equal ones."""
    # With the channels innermost the search is several times faster on a CPU; free when they already are.
    return torch.argmax(scores.contiguous(memory_format=torch.channels_last), dim=1)
