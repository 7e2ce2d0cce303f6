"""Semantic segmentation."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlbench.metrics.counting import count_per_image
from mtlbench.metrics.metric import Metric
from mtlbench.metrics.segmentation import argmax_classes, confusion_matrices, mean_iou, pixel_accuracy
from mtlbench.system.errors import ParamsError
from mtlbench.tasks import Labels, Task
from mtlbench.tasks._draw import INVALID, class_colours

VOID = -1


class Segmentation(Task):
    """A class for every pixel: cross entropy; mIoU and pixel accuracy from one confusion matrix.

    Targets (N, H, W) int8, -1 = void: neither trained nor counted. Raw output and prediction are scores
    (N, K, H, W); decoded predictions are class indices.
    """

    metrics: tuple[Metric, ...] = (
        Metric("miou", "mIoU", "%", True, scale=100.0, primary=True),
        Metric("pixel_accuracy", "Pix. acc.", "%", True, scale=100.0),
    )
    loss_name: ClassVar[str] = "cross entropy"
    error_range: tuple[float, float, str] = (0.0, 1.0, "wrong class")

    def __init__(
        self,
        *,
        classes: Annotated[int, Field(ge=2, le=127, description="number of classes K")],
        class_names: Annotated[list[str], Field(description="the K class names, in the order of the indices")],
    ) -> None:
        if len(class_names) != classes:
            raise ParamsError(f"segmentation: expected {classes} class names, found {len(class_names)}: {class_names}")
        self.channels = classes
        self.class_names = tuple(class_names)
        self.maps = Labels(self.class_names)

    def activate(self, raw: Tensor) -> Tensor:
        """The scores themselves, float32: only their order and differences matter."""
        return raw.float()

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Cross entropy, mean over the pixels that are not void (natural logarithm)."""
        # Summed here: the fused sum over two-dimensional targets has no deterministic form on CUDA.
        each = torch.nn.functional.cross_entropy(raw.float(), target.long(), ignore_index=VOID, reduction="none")
        return each.sum() / self.valid(target).sum().clamp(min=1)

    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """``confusion`` (N, K, K) int64: rows targets, columns predictions."""
        classes = argmax_classes(prediction).expand_as(target)
        return {"confusion": confusion_matrices(classes, target, self.channels)}

    def reduce(self, totals: Mapping[str, np.ndarray]) -> dict[str, float]:
        """mIoU over the classes that occur, and pixel accuracy; both in [0, 1]."""
        return {name: float(value) for name, value in self.reduce_many(totals).items()}

    def reduce_many(self, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metrics (...) from confusion matrices (..., K, K)."""
        confusion = totals["confusion"]
        return {"miou": mean_iou(confusion), "pixel_accuracy": pixel_accuracy(confusion)}

    def target_statistics(self, target: Tensor) -> dict[str, Tensor]:
        """``classes`` (N, K) int64: pixels of each class."""
        return {"classes": count_per_image(target, self.valid(target), self.channels)}

    def constant_prediction(self, totals: Mapping[str, np.ndarray]) -> Tensor:
        """Log shares of the classes (K, 1, 1): the best constant for the loss; its argmax is the commonest class."""
        counts = torch.from_numpy(totals["classes"].astype(np.float32)) + 1
        return (counts / counts.sum()).log().view(-1, 1, 1)

    def valid(self, target: Tensor) -> Tensor:
        """Pixels that are not void."""
        return target >= 0

    def draw(self, map_: np.ndarray) -> np.ndarray:
        """Each class in its colour, void in flat grey."""
        picture = class_colours(self.channels)[np.maximum(map_, 0).astype(np.int64)]
        picture[map_ < 0] = INVALID
        return picture

    def decode(self, prediction: Tensor) -> Tensor:
        """Class indices (N, H, W) int8."""
        return argmax_classes(prediction).to(torch.int8)

    def error(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """1 where the class is wrong, 0 where it is right, NaN where void."""
        return np.where(target >= 0, (prediction != target).astype(np.float32), np.float32("nan"))
