"""Single-task Swin-T."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import Model
from mtlbench.models.blocks.hrnet import HRNetHead
from mtlbench.models.blocks.swin import HIDDEN, Joined, SwinBackbone
from mtlbench.plan.options import StochasticDepth, Weights, Width


class SwinSingle(Model):
    """Swin-T with a head on its four scales for one task: the baseline of the comparison."""

    family = "swin"
    display = "Swin-T"
    paper = "Liu et al., ICCV 2021 (arXiv 2103.14030)"
    paper_title = "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows"
    single_task = True
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
        weights: Weights = "none",
        stochastic_depth: StochasticDepth = 0.2,
    ) -> None:
        super().__init__(tasks)
        ((self.task, channels),) = self.tasks.items()
        self.backbone = SwinBackbone(width, weights, stochastic_depth)
        self.joined = Joined()
        self.head = HRNetHead(sum(self.backbone.channels), channels, HIDDEN)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {self.task: self.head(self.joined(self.backbone(image)), image.shape[-2:])}
