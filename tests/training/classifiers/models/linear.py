"""Linear classifiers on a linear map of a small picture, each task beside the others."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from mtlbench.models import Classifier


class Linear(Classifier):
    """A linear map of 4 x 4 pixels that all tasks share, and a linear classifier for each."""

    family: ClassVar[str] = "linear"
    paper: ClassVar[str] = "none"
    predicts: ClassVar[str] = "classes"

    def __init__(self, tasks: Mapping[str, int]) -> None:
        super().__init__(tasks)
        self.trunk = nn.Linear(48, 4)
        self.heads = nn.ModuleDict({task: nn.Linear(4, classes) for task, classes in self.tasks.items()})

    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        features = self.trunk(adaptive_avg_pool2d(image, 4).flatten(1))
        return {task: self.heads[task](features) for task in self.chosen(only)}
