"""A dilated ResNet that branches, with DeepLabv3 heads: where it does is learned, or given."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.branching import Choice, paths, temperature
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.plan.options import Branching, Depth, Dropout, Weights

#: The stem and the four layers.
LEVELS = 5


class ResNetLTB(Model):
    """Learning to Branch, in its two steps: without ``branching`` the search, with it the network that was found.

    The search has T nodes at each level (the stem and the four layers). Each node of a layer chooses the node of the
    level before that it reads, each head a node of the last layer, so everything from no sharing to full sharing can
    be found. All nodes are computed. :meth:`found` tells the tree that was learned; with it as ``branching`` a network
    has the nodes of that tree alone and is trained from its start.
    """

    family = "resnet"
    display = "Learning to Branch (ResNet)"
    paper = "Guo et al., ICML 2020 (arXiv 2006.01895)"
    paper_title = "Learning to Branch for Multi-Task Learning"
    size_multiple = 8
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
        dropout: Dropout = 0.5,
        branching: Branching = None,
    ) -> None:
        super().__init__(tasks)
        names = list(self.tasks)
        backbones = {task: ResNetBackbone(depth, weights) for task in names}
        # At each level the node that a task's path goes through has the name of the first task on it.
        tree = branching or {task: [number] * LEVELS for number, task in enumerate(names)}
        self.owners = [
            [next(one for one in names if tree[one][level] == tree[task][level]) for task in names]
            for level in range(LEVELS)
        ]
        self.nodes = nn.ModuleList(
            nn.ModuleDict({task: _part(backbones[task], level) for task in names if task in owners})
            for level, owners in enumerate(self.owners)
        )
        self.choices = nn.ModuleList(Choice(names) for _ in range(0 if branching else LEVELS))
        self.heads = heads(backbones[names[0]].channels[-1], self.tasks, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        seen: Sequence[Tensor] = [image] * len(self.tasks)
        for level, nodes in enumerate(self.nodes):
            inputs = dict(zip(self.tasks, seen, strict=True))
            outputs = {task: node(inputs[task]) for task, node in nodes.items()}
            seen = [outputs[owner] for owner in self.owners[level]]
            if self.choices:
                seen = self.choices[level](seen)
        return {task: head(x, image.shape[-2:]) for (task, head), x in zip(self.heads.items(), seen, strict=True)}

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lower the temperature of the draws."""
        for choice in self.choices:
            choice.temperature.fill_(temperature(epoch, epochs))

    def found(self) -> dict[str, Any]:
        """The tree that was learned, as the option ``branching`` takes it."""
        if not self.choices:
            return {}
        return {"branching": dict(zip(self.tasks, paths([choice.chosen() for choice in self.choices]), strict=True))}


def _part(backbone: ResNetBackbone, level: int) -> nn.Module:
    return backbone.stem if level == 0 else backbone.layers[level - 1]
