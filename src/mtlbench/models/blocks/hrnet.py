"""HRNet-18-small-v2 as the backbone of dense prediction: four resolutions side by side.

Wang et al., TPAMI 2021 (arXiv 1908.07919), section 3, in the small form of the authors' code: two Bottleneck blocks,
then stages of 1, 3 and 2 exchange modules with 2, 3 and 4 branches of two BasicBlocks. BatchNorm momentum 0.01.
Convolutions start as torchvision's ResNet starts its own. Departure: bilinear enlargement has aligned corners, as
everywhere here.
"""

import functools
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from mtlbench.models.blocks.normalize import Normalize
from mtlbench.models.blocks.resize import Bilinear

#: Channels of the branches, at 1/4, 1/8, 1/16 and 1/32 of the image's size.
CHANNELS = (18, 36, 72, 144)
#: Exchange modules of the stages with two, three and four branches.
MODULES = (1, 3, 2)
#: Channels of the stem.
STEM = 64

_norm = functools.partial(nn.BatchNorm2d, momentum=0.01)


class Unit(nn.Sequential):
    """Convolution without bias (stride 2 halves the size), BatchNorm, and ReLU where ``relu``."""

    diagram: ClassVar[str] = "conv"

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(convolution, _norm(outputs), *([nn.ReLU(inplace=True)] if relu else []))


class Fusion(nn.Module):
    """Each branch's features plus those of all others, brought to its size and channels; then ReLU.

    From a coarser branch: conv1x1, enlarged. From a finer one: conv3x3 of stride 2, once for each halving.
    """

    diagram: ClassVar[str] = "mix"

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )
        self.enlarge = Bilinear()

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [self._sum(features, target) for target in range(len(features))]

    def _sum(self, features: Sequence[Tensor], target: int) -> Tensor:
        total = features[target]
        for source, path in enumerate(cast(nn.ModuleList, self.paths[target])):
            if source != target:
                moved = path(features[source])
                if source > target:
                    moved = self.enlarge(moved, total.shape[-2:]).to(moved.dtype)
                total = total + moved
        return F.relu(total, inplace=True)


def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    if source == target:
        return nn.Identity()
    if source > target:
        return Unit(channels[source], channels[target], 1, relu=False)
    halvings = [Unit(channels[source], channels[source], 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, Unit(channels[source], channels[target], 3, 2, relu=False))


class Exchange(nn.Module):
    """Features of several resolutions -> the same: two BasicBlocks on each, then their fusion."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(count, count, norm_layer=_norm) for _ in range(2))) for count in channels
        )
        self.fusion = Fusion(channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return self.fusion([branch(x) for branch, x in zip(self.branches, features, strict=True)])


class HRNetBackbone(nn.Module):
    """An image (N, 3, H, W) with values in [0, 1] -> features (N, sum of ``channels``, H/4, W/4) of all resolutions.

    ``width`` multiplies all channels (rounded, at least 4).
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        stem, *self.channels = (max(4, round(width * count)) for count in (STEM, *CHANNELS))
        self.stem = nn.Sequential(Normalize(), Unit(3, stem, 3, 2), Unit(stem, stem, 3, 2))
        wide = stem * Bottleneck.expansion
        shortcut = Unit(stem, wide, 1, relu=False)
        self.first = nn.Sequential(
            Bottleneck(stem, stem, downsample=shortcut, norm_layer=_norm), Bottleneck(wide, stem, norm_layer=_norm)
        )
        self.narrow = Unit(wide, self.channels[0], 3)
        sources = [wide, *self.channels[1:-1]]
        self.down = nn.ModuleList(Unit(a, b, 3, 2) for a, b in zip(sources, self.channels[1:], strict=True))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Exchange(self.channels[: number + 2]) for _ in range(count)))
            for number, count in enumerate(MODULES)
        )
        self.enlarge = Bilinear()
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def scales(self, image: Tensor) -> list[Tensor]:
        """Features of each resolution: ``channels`` at 1/4, 1/8, 1/16 and 1/32 of the image's size."""
        x = self.first(self.stem(image))
        features = [self.narrow(x), self.down[0](x)]
        for number, stage in enumerate(self.stages):
            if number:
                features = [*features, self.down[number](features[-1])]
            features = stage(features)
        return features

    def forward(self, image: Tensor) -> Tensor:
        finest, *others = self.scales(image)
        return torch.cat([finest, *(self.enlarge(y, finest.shape[-2:]).to(y.dtype) for y in others)], 1)


class HRNetHead(nn.Module):
    """Features (N, inputs, h, w) -> raw map (N, outputs, H, W) of size (H, W): conv1x1, BatchNorm, ReLU, conv1x1.

    ``hidden`` channels between the two; as many as there are inputs unless said.
    """

    diagram: ClassVar[str] = "head"

    def __init__(self, inputs: int, outputs: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = inputs if hidden is None else hidden
        self.hidden = nn.Sequential(nn.Conv2d(inputs, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True))
        self.output = nn.Conv2d(hidden, outputs, 1)
        self.enlarge = Bilinear()

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        return self.enlarge(self.output(self.hidden(features)), size)
