"""From a backbone's features to classes: pooling over the image and a linear classifier for each task."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from mtlbench.models import Classifier
from mtlbench.models.blocks.domain_norm import DomainNorms


class ClassHead(nn.Module):
    """Features (N, inputs, h, w) of any size -> logits (N, classes): mean over the image, then a linear layer."""

    diagram: ClassVar[str] = "head"

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features.mean((2, 3)))


def class_heads(inputs: int, tasks: Mapping[str, int]) -> nn.ModuleDict:
    """One :class:`ClassHead` for each task."""
    return nn.ModuleDict({task: ClassHead(inputs, classes) for task, classes in tasks.items()})


class TrunkClassifier(Classifier):
    """One trunk for all tasks and a classifier for each; with one task it is a single-task network."""

    def __init__(
        self, tasks: Mapping[str, int], trunk: nn.Module, channels: int, batch_norm: str | None = None
    ) -> None:
        super().__init__(tasks)
        self.trunk = trunk
        self.heads = class_heads(channels, self.tasks)
        self.norms = DomainNorms(batch_norm, list(self.tasks), self.trunk)

    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for tasks in self.norms.passes(self.chosen(only)):
            self.norms.domain = tasks[0]
            features = self.trunk(image)
            found |= {task: self.heads[task](features) for task in tasks}
        return found
