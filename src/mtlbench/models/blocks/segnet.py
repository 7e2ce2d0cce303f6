"""The parts of the SegNet family: a VGG16-shaped encoder and its mirror image.

Badrinarayanan et al., TPAMI 2017 (arXiv 1511.00561), in the form used by Liu et al., CVPR 2019 (arXiv
1803.10704): five stages of 2, 2, 3, 3, 3 convolutions in the encoder and in the decoder, max-pooling with
remembered positions between them.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from mtlbench.models.blocks.pooling import MaxPool, MaxUnpool

#: Channels of the five stages at width 1.
FILTERS = (64, 128, 256, 512, 512)
#: Convolutions of the five stages.
CONVOLUTIONS = (2, 2, 3, 3, 3)


def scaled(width: float, filters: Sequence[int] = FILTERS) -> list[int]:
    """``filters`` times ``width``, rounded, at least 4."""
    return [max(4, round(count * width)) for count in filters]


def initialise(module: nn.Module, draw: Callable[[Tensor], Tensor] = nn.init.xavier_normal_) -> None:
    """Draw all convolution weights with ``draw``; biases 0, BatchNorm 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            draw(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


class ConvUnit(nn.Sequential):
    """conv3x3 -> BatchNorm -> ReLU: (N, inputs, H, W) -> (N, outputs, H, W)."""

    diagram: ClassVar[str] = "conv"

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Head(nn.Sequential):
    """conv3x3 and conv1x1 with nothing between them: (N, inputs, H, W) -> (N, outputs, H, W)."""

    diagram: ClassVar[str] = "head"

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, inputs, 3, padding=1), nn.Conv2d(inputs, outputs, 1))


def heads(inputs: int, tasks: Mapping[str, int]) -> nn.ModuleDict:
    """One :class:`Head` for each task."""
    return nn.ModuleDict({task: Head(inputs, channels) for task, channels in tasks.items()})


def block(channels: Sequence[int]) -> nn.Sequential:
    """Conv units one after the other: channels[0] -> channels[1] -> ..."""
    return nn.Sequential(*(ConvUnit(one, other) for one, other in itertools.pairwise(channels)))


def encoder_blocks(filters: Sequence[int], repeats: int = 1) -> nn.ModuleList:
    """The five encoder stages: stage i goes from f[i-1] (3 at stage 0) to f[i], ``repeats`` times as many units."""
    return _stages([3, *filters[:-1]], filters, repeats)


def decoder_blocks(filters: Sequence[int], repeats: int = 1) -> nn.ModuleList:
    """The five decoder stages: stage k goes from f[k] to f[k-1] (f[0] at stage 0), ``repeats`` times as many units."""
    return _stages(filters, [filters[0], *filters[:-1]], repeats)


def _stages(inputs: Sequence[int], outputs: Sequence[int], repeats: int) -> nn.ModuleList:
    stages = zip(inputs, outputs, CONVOLUTIONS, strict=True)
    return nn.ModuleList(block([into] + [out] * (count * repeats)) for into, out, count in stages)


@dataclass(frozen=True)
class StageFeatures:
    """What a stage of the backbone offers: its input (a decoder's: unpooled), first and last unit's output."""

    input: Tensor
    first: Tensor
    last: Tensor


class SegNetBackbone(nn.Module):
    """An image (N, 3, H, W) -> the features of the five encoder and five decoder stages.

    Both lists are indexed by stage, 0 the outermost.
    """

    def __init__(self, filters: Sequence[int], repeats: int = 1) -> None:
        super().__init__()
        self.encoder = encoder_blocks(filters, repeats)
        self.decoder = decoder_blocks(filters, repeats)
        self.pool = MaxPool()
        self.unpool = MaxUnpool()

    def forward(self, image: Tensor) -> tuple[list[StageFeatures], list[StageFeatures]]:
        x, encoded, positions = image, [], []
        for units in self.encoder:
            encoded.append(_stage(units, x))
            x, position = self.pool(encoded[-1].last)
            positions.append(position)
        decoded: list[StageFeatures] = []
        for units, position in zip(reversed(self.decoder), reversed(positions), strict=True):
            decoded.insert(0, _stage(units, self.unpool(x, position)))
            x = decoded[0].last
        return encoded, decoded


def _stage(units: nn.Sequential, x: Tensor) -> StageFeatures:
    first = last = units[0](x)
    for unit in units[1:]:
        last = unit(last)
    return StageFeatures(x, first, last)
