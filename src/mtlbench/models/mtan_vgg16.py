"""The Multi-Task Attention Network on VGG16, for classification."""

import itertools
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mtlbench.models import Classifier
from mtlbench.models.blocks.attention import attend, stage_masks
from mtlbench.models.blocks.classify import class_heads
from mtlbench.models.blocks.domain_norm import DomainNorms
from mtlbench.models.blocks.pooling import CeilMaxPool
from mtlbench.models.blocks.segnet import ConvUnit, initialise
from mtlbench.models.blocks.vgg import VGGBackbone
from mtlbench.plan.options import BatchNorm, Weights, Width


class MTANVGG16(Classifier):
    """MTAN: one shared VGG16 from which each task (domain) selects features with attention masks.

    A mask reads the first convolution's output of a stage, beside the task's attended features of the stage
    before, and multiplies the last one's. The convolutions and the max-pooling (ceil mode) that carry attended
    features from stage to stage and to the classifier are the same for all tasks.
    """

    family = "vgg"
    display = "MTAN (VGG16)"
    paper = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title = "End-to-End Multi-Task Learning with Attention"
    predicts = "classes"
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        weights: Weights = "none",
        width: Width = 1.0,
        batch_norm: BatchNorm = None,
    ) -> None:
        super().__init__(tasks)
        self.backbone = VGGBackbone(16, weights, width)
        channels = self.backbone.channels
        self.attention = nn.ModuleDict({task: stage_masks(channels) for task in self.tasks})
        self.down = nn.ModuleList(
            nn.Sequential(ConvUnit(one, other), CeilMaxPool())
            for one, other in itertools.pairwise([*channels, channels[-1]])
        )
        self.heads = class_heads(channels[-1], self.tasks)
        initialise(self.attention)
        initialise(self.down)
        self.norms = DomainNorms(batch_norm, list(self.tasks), self.backbone, self.down)

    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        found = {}
        for tasks in self.norms.passes(self.chosen(only)):
            self.norms.domain = tasks[0]
            stages = self.backbone.stages(image)
            for task in tasks:
                found[task] = self.heads[task](attend(self.attention[task], stages, self.down))
        return found
