"""The Multi-Task Attention Network on a dilated ResNet with DeepLabv3 heads."""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.attention import AttentionMask
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.pooling import MaxPool
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
        self.attention = nn.ModuleDict({task: _masks(channels) for task in self.tasks})
        self.down = nn.ModuleList(projected_bottleneck(one, other) for one, other in itertools.pairwise(channels))
        self.pool = MaxPool()
        self.heads = heads(channels[-1], self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x, layers = self.backbone.stem(image), []
        for layer in self.backbone.layers:
            before = layer[:-1](x)
            x = layer[-1](before)
            layers.append((before, x))
        size = image.shape[-2:]
        return {task: head(self._attend(self.attention[task], layers), size) for task, head in self.heads.items()}

    def _attend(self, masks: nn.ModuleList, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        attended: Tensor | None = None
        for stage, (mask, (before, last)) in enumerate(zip(masks, layers, strict=True)):
            attended = mask(before if attended is None else torch.cat([before, attended], 1)) * last
            if stage < len(self.down):
                attended = self.down[stage](attended)
            if stage == 0:  # the other layers keep their resolution
                attended, _ = self.pool(attended)
        assert attended is not None
        return attended


def _masks(channels: list[int]) -> nn.ModuleList:
    return nn.ModuleList(
        AttentionMask((2 if stage else 1) * count, count // 4, count) for stage, count in enumerate(channels)
    )
