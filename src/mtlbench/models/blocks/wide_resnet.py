"""A Wide ResNet of 28 layers as a backbone for small images."""

import itertools
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.models.blocks.segnet import scaled

#: Channels of the stem and of the three stages of WRN-28-4 (widening factor 4).
FILTERS = (16, 64, 128, 256)
#: Blocks of a stage: (28 layers - 4) / 6.
BLOCKS = 4


class WideBlock(nn.Module):
    """x + conv3x3(ReLU(BN(conv3x3(ReLU(BN(x)))))): (N, inputs, H, W) -> (N, outputs, H/stride, W/stride), rounded up.

    The second convolution has the stride, all have a bias. Where the shape changes, the shortcut is a conv1x1 of x.
    """

    diagram: ClassVar[str] = "block"

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return self.conv2(F.relu(self.norm2(y))) + self.shortcut(x)


class NormReLU(nn.Sequential):
    """BatchNorm -> ReLU behind the last block. With momentum 0.9 its stored statistics are nearly the last batch's."""

    diagram: ClassVar[str] = "norm"

    def __init__(self, channels: int) -> None:
        super().__init__(nn.BatchNorm2d(channels, momentum=0.9), nn.ReLU(inplace=True))


class WideResNetBackbone(nn.Module):
    """An image (N, 3, H, W) with values in [0, 1] -> features (N, channels[3], H/8, W/8), rounded up.

    WRN-28-4 (Zagoruyko and Komodakis, BMVC 2016, arXiv 1605.07146) in the form of Liu et al., CVPR 2019 (arXiv
    1803.10704): every stage halves the size, the first one too; no dropout; BatchNorm (momentum 0.9) and ReLU at
    the end. Weights are drawn by PyTorch's default: the reference defines another initialisation and never calls it.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        self.channels = scaled(width, FILTERS)
        self.stem = nn.Conv2d(3, self.channels[0], 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(WideBlock(one, other, 2), *(WideBlock(other, other, 1) for _ in range(BLOCKS - 1)))
            for one, other in itertools.pairwise(self.channels)
        )
        self.norm = NormReLU(self.channels[-1])

    def forward(self, image: Tensor) -> Tensor:
        return self.stages(image)[-1]

    def stages(self, image: Tensor) -> list[Tensor]:
        """The output of the stem and of the three stages, the last one behind BatchNorm and ReLU."""
        found = [self.stem(image)]
        for layer in self.layers:
            found.append(layer(found[-1]))
        found[-1] = self.norm(found[-1])
        return found
