"""Classification of whole images."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlbench.metrics.classification import hits, share
from mtlbench.metrics.counting import count_per_image
from mtlbench.metrics.metric import Metric
from mtlbench.metrics.segmentation import confusion_matrices
from mtlbench.system.errors import ParamsError
from mtlbench.tasks import Classes, Task
from mtlbench.tasks._draw import INVALID, class_colours

_TOP1 = (Metric("top1", "Top-1", "%", True, scale=100.0, primary=True),)
_TOP5 = (Metric("top5", "Top-5", "%", True, scale=100.0),)
#: With more classes a confusion matrix of every test image takes more room than the images.
MOST_CONFUSED = 50


class Classification(Task):
    """A class for the whole image: cross entropy; share of images whose class is the best, or among the five best.

    Top-5 is left out where there are five classes or fewer: it would be 100 %.
    Targets (N,) int16, -1 = an image of another domain: neither trained nor counted. Raw output (N, K) is logits, the
    prediction their logarithmic softmax; decoded predictions are class indices (N,).
    """

    predicts: ClassVar[str] = "classes"
    loss_name: ClassVar[str] = "cross entropy"
    error_range: tuple[float, float, str] = (0.0, 1.0, "wrong class")

    def __init__(
        self,
        *,
        classes: Annotated[int, Field(ge=2, le=32767, description="number of classes K")],
        class_names: Annotated[list[str], Field(description="the K class names, in the order of the indices")],
        augmented: Annotated[bool, Field(description="whether its images may be zoomed and mirrored")] = True,
    ) -> None:
        if len(class_names) != classes:
            raise ParamsError(f"classification: expected {classes} class names, found {len(class_names)}")
        self.channels = classes
        self.metrics = _TOP1 if classes <= 5 else (*_TOP1, *_TOP5)
        self.class_names = tuple(class_names)
        self.augmented = augmented
        self.maps = Classes(self.class_names)

    def output_shape(self, target: Tensor) -> tuple[int, ...]:
        """(N, K)."""
        return (len(target), self.channels)

    def activate(self, raw: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities (N, K), float32."""
        return raw.float().log_softmax(1)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Cross entropy, mean over the images that have a class (natural logarithm)."""
        each = torch.nn.functional.cross_entropy(raw.float(), target.long(), ignore_index=-1, reduction="none")
        return each.sum() / self.valid(target).sum().clamp(min=1)

    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """``images``, ``top1`` and ``top5`` (N,) int64: whether it counts, and whether it was right.

        Up to 50 classes also ``confusion`` (N, K, K) int64: rows targets, columns predictions.
        """
        found = {"images": self.valid(target).long()}
        found |= {metric.name: hits(prediction, target, int(metric.name[3:])) for metric in self.metrics}
        if self.channels <= MOST_CONFUSED:
            guess = prediction.argmax(1)[:, None]
            found["confusion"] = confusion_matrices(guess, target[:, None], self.channels)
        return found

    def reduce(self, totals: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Shares of right images, in [0, 1]; NaN without images."""
        return {name: float(value) for name, value in self.reduce_many(totals).items()}

    def reduce_many(self, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metrics (...) from counts (...)."""
        return {metric.name: share(totals[metric.name], totals["images"]) for metric in self.metrics}

    def target_statistics(self, target: Tensor) -> dict[str, Tensor]:
        """``classes`` (N, K) int64: images of each class."""
        return {"classes": count_per_image(target[:, None], self.valid(target)[:, None], self.channels)}

    def constant_prediction(self, totals: Mapping[str, np.ndarray]) -> Tensor:
        """Logarithms of the classes' shares (K,): the best constant for the loss; the commonest class is its first."""
        counts = torch.from_numpy(totals["classes"].astype(np.float32)) + 1
        return (counts / counts.sum()).log()

    def valid(self, target: Tensor) -> Tensor:
        """Images that have a class, (N,)."""
        return target >= 0

    def draw(self, map_: np.ndarray) -> np.ndarray:
        """One pixel (1, 1, 3) in the colour of the class; grey for an image of another domain."""
        label = int(map_)
        return np.array(class_colours(self.channels)[label] if label >= 0 else INVALID, np.uint8).reshape(1, 1, 3)

    def decode(self, prediction: Tensor) -> Tensor:
        """Class indices (N,) int16."""
        return prediction.argmax(1).to(torch.int16)

    def error(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """1 where the class is wrong, 0 where it is right, NaN where there is none; one number (1, 1)."""
        wrong = np.where(target >= 0, np.float32(prediction != target), np.float32("nan"))
        return wrong.astype(np.float32).reshape(1, 1)
