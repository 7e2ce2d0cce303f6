"""The Multi-Task Attention Network on a dilated ResNet with DeepLabv3 heads."""

import itertools
from collections.abc import Mapping

from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.attention import attend, stage_masks
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.pooling import CeilMaxPool
from mtlbench.models.blocks.resnet import ResNetBackbone, projected_bottleneck
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetMTAN(Model):
    """MTAN: one shared dilated ResNet from which each task selects features with attention masks.

    A mask reads what all blocks of a layer but the last one give, beside the task's attended features of the
    layer before, and multiplies the last block's output. The blocks that carry attended features from
    layer to layer are the same for all tasks.
    """

    family = "resnet"
    display = "MTAN (ResNet)"
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
        channels = self.backbone.channels
        self.attention = nn.ModuleDict({task: stage_masks(channels, 4) for task in self.tasks})
        self.down = nn.ModuleList(projected_bottleneck(one, other) for one, other in itertools.pairwise(channels))
        self.pool = CeilMaxPool()
        self.heads = heads(channels[-1], self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        stages = self.backbone.stages(image)
        carry = [nn.Sequential(self.down[0], self.pool), *self.down[1:]]  # the other layers keep their resolution
        size = image.shape[-2:]
        return {task: head(attend(self.attention[task], stages, carry), size) for task, head in self.heads.items()}
