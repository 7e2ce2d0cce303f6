"""Single-task DeepLabv3."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from mtlbench.models._base import Model
from mtlbench.models.blocks.deeplab import DeepLabHead
from mtlbench.models.blocks.resnet import ResNetBackbone


class ResNetSingle(Model):
    """One DeepLabv3 on a dilated ResNet for one task: the baseline of the comparison."""

    family = "resnet"
    paper = "Chen et al., 2017 (arXiv 1706.05587)"
    single_task = True
    size_multiple = 8
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Annotated[Literal[18, 34, 50, 101], Field(description="layers of the ResNet")] = 50,
        weights: Annotated[
            str, Field(description="'none', 'imagenet' or a file with the state of torchvision's ResNet of that depth")
        ] = "none",
        dropout: Annotated[float, Field(ge=0, lt=1, description="dropout in the DeepLab heads")] = 0.5,
    ) -> None:
        super().__init__(tasks)
        ((self.task, channels),) = self.tasks.items()
        self.backbone = ResNetBackbone(depth, weights)
        self.head = DeepLabHead(self.backbone.channels[-1], channels, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {self.task: self.head(self.backbone(image), image.shape[-2:])}
