"""Split SegNet with a wider innermost stage."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import Model
from mtlbench.models.blocks.segnet import SegNetBackbone, heads, initialise, scaled
from mtlbench.plan.options import Width

FILTERS = (64, 128, 256, 512, 1024)


class SegNetSplitWide(Model):
    """One SegNet with a head per task and 1024 innermost filters: about as many parameters as MTAN."""

    family = "segnet"
    display = "Split, wide (SegNet)"
    paper = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title = "End-to-End Multi-Task Learning with Attention"
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
    ) -> None:
        super().__init__(tasks)
        filters = scaled(width, FILTERS)
        self.backbone = SegNetBackbone(filters)
        self.heads = heads(filters[0], self.tasks)
        initialise(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        _, decoded = self.backbone(image)
        return {task: head(decoded[0].last) for task, head in self.heads.items()}
