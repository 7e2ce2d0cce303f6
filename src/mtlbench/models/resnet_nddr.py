"""One dilated ResNet per task, joined by NDDR layers."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mtlbench.models._base import Model
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.nddr import NDDR
from mtlbench.models.blocks.resnet import ResNetBackbone, channels


class ResNetNDDR(Model):
    """NDDR-CNN: one DeepLabv3 per task; after each of the four layers every task projects all features to its own."""

    family = "resnet"
    paper = "Gao et al., CVPR 2019 (arXiv 1801.08297)"
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
        self.backbones = nn.ModuleDict({task: ResNetBackbone(depth, weights) for task in self.tasks})
        self.units = nn.ModuleList(NDDR(self.tasks, count) for count in channels(depth))
        self.heads = heads(channels(depth)[-1], self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = [backbone.stem(image) for backbone in self.backbones.values()]
        for stage, unit in enumerate(self.units):
            towers = zip(self.backbones.values(), features, strict=True)
            features = unit([backbone.layers[stage](x) for backbone, x in towers])
        results = zip(self.heads.items(), features, strict=True)
        return {task: head(x, image.shape[-2:]) for (task, head), x in results}
