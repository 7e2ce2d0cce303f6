"""Multi-gate mixture of experts on a dilated ResNet with DeepLabv3 heads."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.mixture import Blend
from mtlbench.models.blocks.resnet import STEM_CHANNELS, ResNetBackbone
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetMMoE(Model):
    """MMoE: copies of the deeper ResNet layers are experts, which a gate per task blends for each image.

    Eq. 6-7 of the paper, with the features of the shared layers as x: task k sees the sum over i of g_k(x)_i f_i(x),
    g_k(x) = softmax(W_k mean(x)). The gate reads the mean of x over the image, so any image size works.
    """

    family = "resnet"
    display = "MMoE (ResNet)"
    paper = "Ma et al., KDD 2018 (doi 10.1145/3219819.3220007)"
    paper_title = "Modeling Task Relationships in Multi-Task Learning with Multi-Gate Mixture-of-Experts"
    size_multiple = 8
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
        dropout: Dropout = 0.5,
        experts: Annotated[int, Field(ge=2, description="number of experts")] = 3,
        first_expert_layer: Annotated[
            Literal[1, 2, 3, 4], Field(description="first ResNet layer of which each expert has its own copy")
        ] = 4,
    ) -> None:
        super().__init__(tasks)
        backbones = [ResNetBackbone(depth, weights) for _ in range(experts)]
        channels = backbones[0].channels
        self.stem = backbones[0].stem
        self.shared = backbones[0].layers[: first_expert_layer - 1]
        self.experts = nn.ModuleList(nn.Sequential(*one.layers[first_expert_layer - 1 :]) for one in backbones)
        read = channels[first_expert_layer - 2] if first_expert_layer > 1 else STEM_CHANNELS
        self.gates = nn.ModuleDict({task: nn.Linear(read, experts) for task in self.tasks})
        self.blend = Blend()
        self.heads = heads(channels[-1], self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.stem(image)
        for layer in self.shared:
            x = layer(x)
        features = [expert(x) for expert in self.experts]
        mean = x.mean((2, 3))
        blended = {task: self.blend(gate(mean), features) for task, gate in self.gates.items()}
        return {task: head(blended[task], image.shape[-2:]) for task, head in self.heads.items()}
