"""HRNet whose tasks share the backbone."""

from collections.abc import Mapping

from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.hrnet import HRNetBackbone, HRNetHead
from mtlbench.plan.options import Width


class HRNetSplit(Model):
    """HRNet-18-small-v2 with the head of HRNetV2 for each task: the multi-task baseline of MTI-Net."""

    family = "hrnet"
    display = "Split (HRNet)"
    display = "Split (HRNet)"
    paper = "Vandenhende et al., ECCV 2020 (arXiv 2001.06902)"
    paper_title = "MTI-Net: Multi-Scale Task Interaction Networks for Multi-Task Learning"
    size_multiple = 32

    def __init__(self, tasks: Mapping[str, int], *, width: Width = 1.0) -> None:
        super().__init__(tasks)
        self.backbone = HRNetBackbone(width)
        inputs = sum(self.backbone.channels)
        self.heads = nn.ModuleDict({task: HRNetHead(inputs, channels) for task, channels in self.tasks.items()})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.backbone(image)
        return {task: head(features, image.shape[-2:]) for task, head in self.heads.items()}
