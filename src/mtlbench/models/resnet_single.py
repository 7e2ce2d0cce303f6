"""Single-task DeepLabv3."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import Model
from mtlbench.models.blocks.deeplab import DeepLabHead
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetSingle(Model):
    """One DeepLabv3 on a dilated ResNet for one task: the baseline of the comparison."""

    family = "resnet"
    display = "DeepLabv3 (ResNet)"
    paper = "Chen et al., 2017 (arXiv 1706.05587)"
    paper_title = "Rethinking Atrous Convolution for Semantic Image Segmentation"
    single_task = True
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
        ((self.task, channels),) = self.tasks.items()
        self.backbone = ResNetBackbone(depth, weights)
        self.head = DeepLabHead(self.backbone.channels[-1], channels, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {self.task: self.head(self.backbone(image), image.shape[-2:])}
