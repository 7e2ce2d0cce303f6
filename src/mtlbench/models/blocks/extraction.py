"""Progressive layered extraction: each task's experts beside shared ones, blended by gates, level after level.

Tang et al., RecSys 2020 (doi 10.1145/3383313.3412236), sections 4.1 (one level: CGC) and 4.2 (several: PLE). The
experts are copies of a ResNet's deeper layers. Departure: gates read the mean of the features over the image, so any
image size works.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.mixture import Blend
from mtlbench.models.blocks.resnet import STEM_CHANNELS, ResNetBackbone


class Extraction(nn.Module):
    """One level: features of each task and shared ones -> the same, one level on.

    A task's features go through its own experts, the shared features through the shared experts; for each image a
    task's gate blends the results of both with softmax weights. Unless ``last``, the shared gate blends those of all
    experts of the level; else there are no shared features any more.
    """

    def __init__(
        self, own: Mapping[str, Sequence[nn.Module]], shared: Sequence[nn.Module], inputs: int, last: bool
    ) -> None:
        super().__init__()
        self.own = nn.ModuleDict({task: nn.ModuleList(experts) for task, experts in own.items()})
        self.shared = nn.ModuleList(shared)
        self.gates = nn.ModuleDict({task: nn.Linear(inputs, len(own[task]) + len(shared)) for task in own})
        # The shared gate's linear layer in pieces, one for each task's experts and one for the shared ones.
        pieces = {} if last else {task: nn.Linear(inputs, len(own[task])) for task in own}
        self.shared_gate_own = nn.ModuleDict(pieces)
        self.shared_gate_shared = None if last else nn.Linear(inputs, len(shared))
        self.blend = Blend()

    def forward(self, features: Mapping[str, Tensor], shared: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        common = [expert(shared) for expert in self.shared]
        own = {task: [expert(features[task]) for expert in experts] for task, experts in self.own.items()}
        blended = {
            task: self.blend(gate(features[task].mean((2, 3))), [*own[task], *common])
            for task, gate in self.gates.items()
        }
        if self.shared_gate_shared is None:
            return blended, None
        mean = shared.mean((2, 3))
        scores = [*(gate(mean) for gate in self.shared_gate_own.values()), self.shared_gate_shared(mean)]
        everything = [result for results in own.values() for result in results]
        return blended, self.blend(torch.cat(scores, 1), [*everything, *common])


class ExtractionNetwork(Model):
    """A dilated ResNet whose last ``levels`` layers are levels of extraction, with a DeepLabv3 head for each task."""

    def __init__(
        self,
        tasks: Mapping[str, int],
        levels: int,
        depth: int,
        weights: str,
        dropout: float,
        own_experts: int,
        shared_experts: int,
    ) -> None:
        super().__init__(tasks)
        backbones = [ResNetBackbone(depth, weights) for _ in range(shared_experts + own_experts * len(self.tasks))]
        channels = [STEM_CHANNELS, *backbones[0].channels]
        first = 4 - levels
        self.stem = backbones[0].stem
        self.layers = backbones[0].layers[:first]
        self.levels = nn.ModuleList()
        for stage in range(first, 4):
            experts = iter([backbone.layers[stage] for backbone in backbones])
            shared = list(itertools.islice(experts, shared_experts))
            own = {task: list(itertools.islice(experts, own_experts)) for task in self.tasks}
            self.levels.append(Extraction(own, shared, channels[stage], last=stage == 3))
        self.heads = heads(channels[-1], self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.stem(image)
        for layer in self.layers:
            x = layer(x)
        features, shared = dict.fromkeys(self.tasks, x), x
        for level in self.levels:
            features, shared = level(features, shared)
        return {task: head(features[task], image.shape[-2:]) for task, head in self.heads.items()}
