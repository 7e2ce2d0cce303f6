"""The DeepLabv3 head: atrous spatial pyramid pooling, then the task's output.

Chen et al., 2017 (arXiv 1706.05587), section 3.3, with the layers of torchvision's ``DeepLabHead``. Two operations are
written otherwise, with equal results: the image-level features are spread by broadcasting and the maps are enlarged
by matrix products, so that gradients are deterministic on CUDA.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlbench.models.blocks.resize import Bilinear

#: Dilations of the three atrous convolutions, for output stride 8.
RATES = (12, 24, 36)
#: Channels between the layers of the head.
CHANNELS = 256


class DeepLabHead(nn.Module):
    """Features (N, inputs, h, w) -> raw map (N, outputs, H, W) of size (H, W)."""

    diagram: ClassVar[str] = "head"

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.pyramid = Pyramid(inputs, dropout)
        self.hidden = _unit(CHANNELS, CHANNELS, 3)
        self.output = nn.Conv2d(CHANNELS, outputs, 1)
        self.enlarge = Bilinear()

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        return self.enlarge(self.output(self.hidden(self.pyramid(features))), size)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: (N, inputs, h, w) -> (N, 256, h, w).

    BatchNorm of the image-level features needs at least two images in a training batch.
    """

    def __init__(self, inputs: int, dropout: float) -> None:
        super().__init__()
        atrous = [_unit(inputs, CHANNELS, 3, rate) for rate in RATES]
        self.branches = nn.ModuleList([_unit(inputs, CHANNELS, 1), *atrous])
        self.image = _unit(inputs, CHANNELS, 1)
        self.project = nn.Sequential(_unit(5 * CHANNELS, CHANNELS, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in self.branches]
        image = self.image(x.mean((2, 3), keepdim=True))
        return self.project(torch.cat([*parts, image.expand_as(parts[0])], 1))


def heads(inputs: int, tasks: Mapping[str, int], dropout: float) -> nn.ModuleDict:
    """One :class:`DeepLabHead` for each task."""
    return nn.ModuleDict({task: DeepLabHead(inputs, channels, dropout) for task, channels in tasks.items()})


def _unit(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
