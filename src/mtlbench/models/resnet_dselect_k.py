"""Mixture of experts with sparse DSelect-k gates on a dilated ResNet with DeepLabv3 heads."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.mixture import Mix
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.models.blocks.selection import Selection
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetDSelectK(Model):
    """DSelect-k: copies of the last ResNet layer are experts; for each image a gate per task chooses at most k.

    The gate reads the mean over the image of the features that the experts read. The optional entropy penalty of the
    paper, off in the authors' code too, is left out: it would be a loss of the network, not of a task. All experts
    are computed, also those with weight 0.
    """

    family = "resnet"
    display = "DSelect-k (ResNet)"
    paper = "Hazimeh et al., NeurIPS 2021 (arXiv 2106.03760)"
    paper_title = (
        "DSelect-k: Differentiable Selection in the Mixture of Experts with Applications to Multi-Task Learning"
    )
    size_multiple = 8
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
        dropout: Dropout = 0.5,
        experts: Annotated[Literal[2, 4, 8], Field(description="number of experts")] = 4,
        k: Annotated[int, Field(ge=1, le=8, description="experts that a task chooses, at most")] = 2,
        gamma: Annotated[float, Field(gt=0, description="width of the smooth step")] = 1.0,
    ) -> None:
        super().__init__(tasks)
        backbones = [ResNetBackbone(depth, weights) for _ in range(experts)]
        *_, read, channels = backbones[0].channels
        self.stem = backbones[0].stem
        self.shared = backbones[0].layers[:3]
        self.experts = nn.ModuleList(backbone.layers[3] for backbone in backbones)
        self.gates = nn.ModuleDict({task: Selection(read, experts, k, gamma) for task in self.tasks})
        self.mix = Mix()
        self.heads = heads(channels, self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.stem(image)
        for layer in self.shared:
            x = layer(x)
        features, mean = [expert(x) for expert in self.experts], x.mean((2, 3))
        mixed = {task: self.mix(gate(mean), features) for task, gate in self.gates.items()}
        return {task: head(mixed[task], image.shape[-2:]) for task, head in self.heads.items()}
