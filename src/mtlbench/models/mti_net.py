"""MTI-Net: tasks predict and interact at four resolutions, from the coarsest to the finest."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from mtlbench.models import Model, auxiliary_name
from mtlbench.models.blocks.backbones import four_maps
from mtlbench.models.blocks.distillation import MessagesByScale
from mtlbench.models.blocks.hrnet import HRNetHead
from mtlbench.models.blocks.propagation import FeaturePropagation
from mtlbench.models.blocks.resize import Bilinear, BilinearTwice
from mtlbench.plan.options import Backbone, Weights, Width

#: Names of the auxiliary predictions: at 1/4, 1/8, 1/16 and 1/32 of the image's size.
SCALES = ("scale4", "scale8", "scale16", "scale32")


class MTINet(Model):
    """Multi-scale task interaction: initial predictions at four resolutions, each informed by the next coarser one.

    Section 3 of the paper. At every resolution a task has two residual blocks and a supervised prediction, and takes
    messages from the other tasks (each gated by the source's features); feature propagation carries all tasks' features
    to the next finer resolution; a task's head reads its four distilled maps.
    """

    family = "hrnet"
    display = "MTI-Net"
    paper = "Vandenhende et al., ECCV 2020 (arXiv 2001.06902)"
    paper_title = "MTI-Net: Multi-Scale Task Interaction Networks for Multi-Task Learning"
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        backbone: Backbone = "hrnet18s",
        weights: Weights = "none",
        width: Width = 1.0,
    ) -> None:
        super().__init__(tasks)
        self.auxiliary = dict.fromkeys(SCALES, 1.0)
        self.backbone = four_maps(backbone, weights, width)
        channels = self.backbone.channels
        self.features = nn.ModuleList(
            nn.ModuleDict({task: _refinement(own + coarser, own) for task in self.tasks})
            for own, coarser in zip(channels, [*channels[1:], 0], strict=True)
        )
        self.initial = nn.ModuleList(
            nn.ModuleDict({task: nn.Conv2d(own, outputs, 1) for task, outputs in self.tasks.items()})
            for own in channels
        )
        self.propagation = nn.ModuleList(FeaturePropagation(self.tasks, own) for own in channels[1:])
        self.distillation = nn.ModuleDict(
            {task: MessagesByScale(task, self.tasks, channels, "source") for task in self.tasks}
        )
        self.heads = nn.ModuleDict({task: HRNetHead(sum(channels), outputs) for task, outputs in self.tasks.items()})
        self.twice = BilinearTwice()
        self.enlarge = Bilinear()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self._features(self.backbone.scales(image))
        found = {task: head(self._distilled(task, features), image.shape[-2:]) for task, head in self.heads.items()}
        if self.training:
            for name, own, convs in zip(SCALES, features, self.initial, strict=True):
                found |= {auxiliary_name(task, name): conv(own[task]) for task, conv in convs.items()}
        return found

    def _features(self, scales: list[Tensor]) -> list[dict[str, Tensor]]:
        """Every task's features at each resolution, finest first; computed from the coarsest on."""
        found: list[dict[str, Tensor]] = []
        for number in reversed(range(len(scales))):
            inputs = dict.fromkeys(self.tasks, scales[number])
            if found:
                coarser = self.propagation[number](found[0])
                inputs = {task: torch.cat([x, self.twice(coarser[task])], 1) for task, x in inputs.items()}
            found.insert(0, {task: blocks(inputs[task]) for task, blocks in self.features[number].items()})
        return found

    def _distilled(self, task: str, features: list[dict[str, Tensor]]) -> Tensor:
        """A task's features of all resolutions, with the other tasks' messages, enlarged to the finest one."""
        finest, *others = self.distillation[task](features)
        return torch.cat([finest, *(self.enlarge(x, finest.shape[-2:]).to(x.dtype) for x in others)], 1)


def _refinement(inputs: int, outputs: int) -> nn.Sequential:
    """Two BasicBlocks (N, inputs, h, w) -> (N, outputs, h, w); the shortcut is projected where channels differ."""
    shortcut = None
    if inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(BasicBlock(inputs, outputs, downsample=shortcut), BasicBlock(outputs, outputs))
