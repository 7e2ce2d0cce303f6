"""DeepLabv3 whose tasks share the backbone."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import Model
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetSplit(Model):
    """One dilated ResNet with a DeepLabv3 head per task."""

    family = "resnet"
    display = "Split (ResNet)"
    paper = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title = "End-to-End Multi-Task Learning with Attention"
    size_multiple = 8
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
        dropout: Dropout = 0.5,
    ) -> None:
        super().__init__(tasks)
        self.backbone = ResNetBackbone(depth, weights)
        self.heads = heads(self.backbone.channels[-1], self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.backbone(image)
        return {task: head(features, image.shape[-2:]) for task, head in self.heads.items()}
