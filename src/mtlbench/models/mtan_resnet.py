"""The Multi-Task Attention Network on a ResNet, for classification."""

import itertools
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mtlbench.models import Classifier
from mtlbench.models.blocks.attention import attend, stage_masks
from mtlbench.models.blocks.classify import class_heads
from mtlbench.models.blocks.domain_norm import DomainNorms
from mtlbench.models.blocks.pooling import CeilMaxPool
from mtlbench.models.blocks.resnet import ResNetBackbone, projected_bottleneck
from mtlbench.plan.options import BatchNorm, Depth, Weights


class MTANResNet(Classifier):
    """MTAN: one shared ResNet from which each task (domain) selects features with attention masks.

    A mask reads what all blocks of a layer but the last one give, beside the task's attended features of the
    layer before, and multiplies the last block's output. The blocks that carry attended features from
    layer to layer, and the max-pooling (ceil mode) behind each, are the same for all tasks.
    """

    family = "resnet_classifier"
    display = "MTAN (ResNet, classes)"
    paper = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title = "End-to-End Multi-Task Learning with Attention"
    predicts = "classes"
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
        batch_norm: BatchNorm = None,
    ) -> None:
        super().__init__(tasks)
        self.backbone = ResNetBackbone(depth, weights, dilated=False)
        channels = self.backbone.channels
        self.attention = nn.ModuleDict({task: stage_masks(channels, 4) for task in self.tasks})
        self.down = nn.ModuleList(
            nn.Sequential(projected_bottleneck(one, other), CeilMaxPool())
            for one, other in itertools.pairwise(channels)
        )
        self.heads = class_heads(channels[-1], self.tasks)
        self.norms = DomainNorms(batch_norm, list(self.tasks), self.backbone, self.down)

    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        found = {}
        for tasks in self.norms.passes(self.chosen(only)):
            self.norms.domain = tasks[0]
            stages = self.backbone.stages(image)
            for task in tasks:
                found[task] = self.heads[task](attend(self.attention[task], stages, self.down))
        return found
