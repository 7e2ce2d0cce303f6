"""The attention module of the Multi-Task Attention Network."""

from typing import ClassVar

from torch import nn


class AttentionMask(nn.Sequential):
    """conv1x1 -> BatchNorm -> ReLU -> conv1x1 -> BatchNorm -> sigmoid: a mask in (0, 1) for every feature.

    Liu et al., CVPR 2019 (arXiv 1803.10704), section 3.2, eq. 1-3: (N, inputs, H, W) -> (N, outputs, H, W).
    """

    diagram: ClassVar[str] = "mask"

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 1),
            nn.BatchNorm2d(outputs),
            nn.Sigmoid(),
        )
