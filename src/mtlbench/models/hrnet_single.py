"""Single-task HRNet."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import Model
from mtlbench.models.blocks.hrnet import HRNetBackbone, HRNetHead
from mtlbench.plan.options import Width


class HRNetSingle(Model):
    """HRNet-18-small-v2 with the head of HRNetV2 for one task: the baseline of the comparison."""

    family = "hrnet"
    display = "HRNet"
    display = "HRNet"
    paper = "Wang et al., TPAMI 2021 (arXiv 1908.07919)"
    paper_title = "Deep High-Resolution Representation Learning for Visual Recognition"
    single_task = True
    size_multiple = 32

    def __init__(self, tasks: Mapping[str, int], *, width: Width = 1.0) -> None:
        super().__init__(tasks)
        ((self.task, channels),) = self.tasks.items()
        self.backbone = HRNetBackbone(width)
        self.head = HRNetHead(sum(self.backbone.channels), channels)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {self.task: self.head(self.backbone(image), image.shape[-2:])}
