"""PAD-Net: predict every task twice, with distillation between the tasks in between."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from mtlbench.models import Model, auxiliary_name
from mtlbench.models.blocks.backbones import one_map
from mtlbench.models.blocks.distillation import Messages
from mtlbench.models.blocks.resize import Bilinear
from mtlbench.models.blocks.resnet import projected_bottleneck
from mtlbench.plan.options import Backbone, Weights, Width

#: Channels inside the Bottleneck blocks of a task; between them four times as many.
HIDDEN = 64


class PADNet(Model):
    """One backbone; each task's features, supervised by an initial prediction, then enriched by the other tasks'.

    Section 3 of the paper with the layers of Vandenhende et al., TPAMI 2021: two Bottleneck blocks and conv1x1 for the
    initial prediction, distillation, two Bottleneck blocks and conv1x1 for the final one. Both predictions of a task
    have the same loss and weight.
    """

    family = "resnet"
    display = "PAD-Net"
    paper = "Xu et al., CVPR 2018 (arXiv 1805.04409)"
    paper_title = (
        "PAD-Net: Multi-Tasks Guided Prediction-and-Distillation Network for Simultaneous Depth Estimation and Scene "
        "Parsing"
    )
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        backbone: Backbone = "resnet50",
        weights: Weights = "none",
        width: Width = 1.0,
        gate: Annotated[
            Literal["target", "source"],
            Field(
                description="whose features say what passes of a message: the target's (paper) or the source's (code)"
            ),
        ] = "target",
    ) -> None:
        super().__init__(tasks)
        self.auxiliary = {"initial": 1.0}
        self.backbone, inputs = one_map(backbone, weights, width)
        hidden = max(4, round(width * HIDDEN))
        channels = hidden * Bottleneck.expansion
        self.features = nn.ModuleDict(
            {
                task: nn.Sequential(projected_bottleneck(inputs, channels), Bottleneck(channels, hidden))
                for task in self.tasks
            }
        )
        self.initial = nn.ModuleDict({task: nn.Conv2d(channels, outputs, 1) for task, outputs in self.tasks.items()})
        self.distillation = nn.ModuleDict({task: Messages(task, self.tasks, channels, gate) for task in self.tasks})
        self.heads = nn.ModuleDict({task: _Head(hidden, outputs) for task, outputs in self.tasks.items()})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.backbone(image)
        features = {task: blocks(x) for task, blocks in self.features.items()}
        found = {
            task: self.heads[task](messages(features), image.shape[-2:]) for task, messages in self.distillation.items()
        }
        if self.training:
            found |= {auxiliary_name(task, "initial"): conv(features[task]) for task, conv in self.initial.items()}
        return found


class _Head(nn.Module):
    """Features (N, 4 hidden, h, w) -> raw map (N, outputs, H, W) of size (H, W)."""

    diagram: ClassVar[str] = "head"

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        channels = hidden * Bottleneck.expansion
        self.blocks = nn.Sequential(Bottleneck(channels, hidden), Bottleneck(channels, hidden))
        self.output = nn.Conv2d(channels, outputs, 1)
        self.enlarge = Bilinear()

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        return self.enlarge(self.output(self.blocks(features)), size)
