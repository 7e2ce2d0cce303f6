"""InvPT: an inverted pyramid of attention between all tasks."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtlbench.models import Model, auxiliary_name
from mtlbench.models.blocks.hrnet import HRNetHead
from mtlbench.models.blocks.invpt import ConvUnit, Stage
from mtlbench.models.blocks.swin import HIDDEN, Joined, SwinBackbone
from mtlbench.plan.options import StochasticDepth, Weights, Width

#: Channels of the three stages, each half of the one before.
CHANNELS, STAGES = 576, 3


class InvPT(Model):
    """Swin-T, an initial prediction of every task, and a decoder in which all pixels of all tasks attend to each other.

    Of each task's features at 1/32 of the image's size (two conv3x3) an initial prediction is made and supervised like
    the final one. Three stages double the size, with 576, 288 and 144 channels, and take in the encoder's features of
    their size (blocks/invpt.py). The head joins the three stages' features of its task.
    """

    family = "swin"
    display = "InvPT (Swin-T)"
    paper = "Ye and Xu, ECCV 2022 (arXiv 2203.07997)"
    paper_title = "Inverted Pyramid Multi-task Transformer for Dense Scene Understanding"
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
        self.auxiliary = {"initial": 1.0}
        self.backbone = SwinBackbone(width, weights, stochastic_depth)
        *finer, deepest = self.backbone.channels
        first = 8 * max(1, round(width * CHANNELS / 8))
        self.features = nn.ModuleDict(
            {task: nn.Sequential(ConvUnit(deepest, first), ConvUnit(first, first)) for task in self.tasks}
        )
        self.initial = nn.ModuleDict({task: nn.Conv2d(first, count, 1) for task, count in self.tasks.items()})
        self.mixed = nn.ModuleDict({task: nn.Conv2d(first + count, first, 1) for task, count in self.tasks.items()})
        channels = [first // 2**stage for stage in range(STAGES)]
        self.stages = nn.ModuleList(
            Stage(self.tasks, inputs, outputs, encoder, 2 ** (stage + 1), messages=stage > 0)
            for stage, (inputs, outputs, encoder) in enumerate(
                zip([first, *channels], channels, reversed(finer), strict=False)
            )
        )
        self.joined = Joined()
        self.heads = nn.ModuleDict(
            {task: HRNetHead(sum(channels), count, HIDDEN) for task, count in self.tasks.items()}
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        *finer, deepest = self.backbone(image)
        own = {task: blocks(deepest) for task, blocks in self.features.items()}
        initial = {task: conv(own[task]) for task, conv in self.initial.items()}
        features = {task: conv(torch.cat([own[task], initial[task]], 1)) for task, conv in self.mixed.items()}
        found: dict[str, list[Tensor]] = {task: [] for task in self.tasks}
        scores = None
        for stage, encoder in zip(self.stages, reversed(finer), strict=True):
            features, scores = stage(features, encoder, scores)
            for task, maps in features.items():
                found[task].insert(0, maps)
        outputs = {task: head(self.joined(found[task]), image.shape[-2:]) for task, head in self.heads.items()}
        if self.training:
            outputs |= {auxiliary_name(task, "initial"): maps for task, maps in initial.items()}
        return outputs
