"""What a task is: output channels, loss, statistics, metrics with their direction, and how to draw it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mtlbench.maps import Maps
from mtlbench.metrics.metric import Metric


class Task(ABC):
    """One prediction task; this class itself: for dense prediction.

    Everything that is measured goes through *statistics*: sums over the pixels of ONE image. They are added
    over any set of images (an epoch, a test set, a bootstrap sample) and only then reduced to metrics, so a
    metric never depends on the batch size.
    """

    #: The metrics in the order of the tables; a class attribute unless an option changes a unit.
    metrics: tuple[Metric, ...]
    #: Axis label of the loss.
    loss_name: ClassVar[str]
    #: "maps" (a value for every pixel) or "classes" (one for the image): what its models predict; a literal.
    predicts: ClassVar[str] = "maps"
    #: Whether its images may be zoomed and mirrored in training (signs and digits change their meaning).
    augmented: bool = True

    #: The task of the data set from whose stored maps its own are made (:meth:`derive`); "" where they are stored.
    derived_from: ClassVar[str] = ""

    #: How its maps are stored and what quantity they hold, e.g. ``Values(number=3)``.
    maps: Maps
    #: Output channels that the model must provide.
    channels: int

    def derive(self, source: np.ndarray) -> np.ndarray:
        """Its own maps (N, ...) in the form that ``maps`` tells, from the stored ones of ``derived_from``."""
        raise NotImplementedError(f"{type(self).__name__} has derived_from and must say how its maps are made")

    def output_shape(self, target: Tensor) -> tuple[int, ...]:
        """The shape of the network's raw output for a batch of targets: here (N, channels, H, W)."""
        return (len(target), self.channels, *target.shape[-2:])

    @abstractmethod
    def activate(self, raw: Tensor) -> Tensor:
        """The prediction from the network's raw output (N, channels, H, W), in float32."""

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """The training loss of a batch, a float32 scalar; invalid pixels do not count.

        A batch without any valid pixel gives 0 with a zero gradient, never NaN.
        """

    @abstractmethod
    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Additive statistics of each image: {name: (N, ...)} as float64 or int64.

        ``prediction`` is the result of :meth:`activate`. No host synchronisation.
        """

    @abstractmethod
    def reduce(self, totals: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics (by ``Metric.name``) from statistics summed over images; no valid pixel gives NaN."""

    def reduce_many(self, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Like :meth:`reduce` for B sets of images at once: totals (B, ...) give metrics (B,)."""
        count = len(next(iter(totals.values())))
        single = [self.reduce({name: values[i] for name, values in totals.items()}) for i in range(count)]
        return {metric.name: np.array([values[metric.name] for values in single]) for metric in self.metrics}

    @abstractmethod
    def constant_prediction(self, totals: Mapping[str, np.ndarray]) -> Tensor:
        """The best constant prediction (channels, 1, 1) in the form that :meth:`activate` returns.

        ``totals`` is the sum over the training images of :meth:`target_statistics`.
        """

    @abstractmethod
    def target_statistics(self, target: Tensor) -> dict[str, Tensor]:
        """Additive statistics {name: (N, ...)} of the targets that :meth:`constant_prediction` needs."""

    @abstractmethod
    def valid(self, target: Tensor) -> Tensor:
        """Which pixels of a target (N, ...) count: boolean (N, H, W)."""

    @abstractmethod
    def draw(self, map_: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) uint8 of one target as stored, or of one prediction turned into that form.

        Invalid pixels are drawn in one flat colour that the task's legend names.
        """

    def legend(self) -> list[tuple[str, np.ndarray]]:
        """(text, stored map (C, 1, n)) pairs; their drawing shows what the colours mean."""
        return self.maps.legend()

    @abstractmethod
    def decode(self, prediction: Tensor) -> Tensor:
        """A batch of predictions in the form of the stored targets (class indices, metres, unit vectors)."""

    @abstractmethod
    def error(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The error (H, W) float32 of one decoded prediction against its target; NaN where invalid."""

    #: The error map's colour range and unit: (low, high, unit).
    error_range: tuple[float, float, str]


def make_tasks(descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, Task]:
    """Task objects from ``Dataset.tasks``: {task name: constructor arguments}.

    ``kind`` among the arguments names the entry where the task's name is another one (a domain's).
    """
    from mtlbench.plan.registry import entry

    return {
        name: entry("tasks", arguments.get("kind", name)).load()(
            **{key: value for key, value in arguments.items() if key != "kind"}
        )
        for name, arguments in descriptions.items()
    }


def totals(statistics: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Statistics summed over the images (axis 0), on the host, as float64 or int64."""
    return {name: values.sum(0).cpu().numpy() for name, values in statistics.items()}


def double(value: Tensor) -> Tensor:
    """Float64, the type in which statistics are added."""
    return value.to(torch.float64)
