"""Swin-T whose tasks share the backbone."""

from collections.abc import Mapping

from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.hrnet import HRNetHead
from mtlbench.models.blocks.swin import HIDDEN, Joined, SwinBackbone
from mtlbench.plan.options import StochasticDepth, Weights, Width


class SwinSplit(Model):
    """Swin-T with a head on its four scales for each task: the multi-task baseline of the transformers."""

    family = "swin"
    display = "Split (Swin-T)"
    paper = "Xu et al., AAAI 2023 (arXiv 2301.03461)"
    paper_title = "DeMT: Deformable Mixer Transformer for Multi-Task Learning of Dense Prediction"
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
        self.backbone = SwinBackbone(width, weights, stochastic_depth)
        self.joined = Joined()
        inputs = sum(self.backbone.channels)
        self.heads = nn.ModuleDict({task: HRNetHead(inputs, channels, HIDDEN) for task, channels in self.tasks.items()})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.joined(self.backbone(image))
        return {task: head(features, image.shape[-2:]) for task, head in self.heads.items()}
