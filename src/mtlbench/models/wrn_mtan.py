"""The Multi-Task Attention Network on WRN-28-4, as for the Visual Decathlon."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mtlbench.models import Classifier
from mtlbench.models.blocks.attention import attend, stage_masks
from mtlbench.models.blocks.classify import class_heads
from mtlbench.models.blocks.domain_norm import DomainNorms
from mtlbench.models.blocks.pooling import CeilMaxPool
from mtlbench.models.blocks.segnet import ConvUnit
from mtlbench.models.blocks.wide_resnet import WideResNetBackbone
from mtlbench.plan.options import BatchNorm, Width


class WRNMTAN(Classifier):
    """MTAN on WRN-28-4: after the stem and after each stage, each task (domain) selects features with a mask.

    A mask reads the map that it multiplies, from the first stage on beside the task's attended features. The
    convolutions that carry attended features on, with max-pooling (ceil mode) behind the first three, are the same
    for all tasks. The reference averages 8x8 of 9x9 features, so it loses a row and a column; here all count.
    """

    family = "wide_resnet"
    display = "MTAN (WRN-28-4)"
    paper = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title = "End-to-End Multi-Task Learning with Attention"
    predicts = "classes"
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
        batch_norm: BatchNorm = None,
    ) -> None:
        super().__init__(tasks)
        self.backbone = WideResNetBackbone(width)
        stem, one, two, three = self.backbone.channels
        self.attention = nn.ModuleDict({task: stage_masks(self.backbone.channels) for task in self.tasks})
        self.down = nn.ModuleList(
            [
                nn.Sequential(ConvUnit(stem, one), CeilMaxPool()),
                nn.Sequential(ConvUnit(one, two), CeilMaxPool()),
                nn.Sequential(ConvUnit(two, three), CeilMaxPool()),
                ConvUnit(three, three),
            ]
        )
        self.heads = class_heads(three, self.tasks)
        self.norms = DomainNorms(batch_norm, list(self.tasks), self.backbone, self.down)

    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        found = {}
        for tasks in self.norms.passes(self.chosen(only)):
            self.norms.domain = tasks[0]
            stages = [(features, features) for features in self.backbone.stages(image)]
            for task in tasks:
                found[task] = self.heads[task](attend(self.attention[task], stages, self.down))
        return found
