"""A ResNet of torchvision as a backbone: dilated, with output stride 8, for dense prediction, or as it is."""

from typing import ClassVar

import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from mtlbench.models.blocks.normalize import Normalize
from mtlbench.models.blocks.pretrained import pretrained

#: Dilation of layer1 .. layer4.
DILATIONS = (1, 1, 2, 4)
#: Channels before layer1.
STEM_CHANNELS = 64


class Stem(nn.Sequential):
    """The layers before layer1: (N, 3, H, W) with values in [0, 1] -> (N, 64, H/4, W/4)."""

    diagram: ClassVar[str] = "stem"

    def __init__(self, network: ResNet) -> None:
        super().__init__(Normalize(), network.conv1, network.bn1, network.relu, network.maxpool)


class ResNetBackbone(nn.Module):
    """An image (N, 3, H, W) with values in [0, 1] -> features (N, channels[3], H/8, W/8).

    ResNet (He et al., CVPR 2016, arXiv 1512.03385) of 18, 34, 50 or 101 layers; layer3 and layer4 keep their
    resolution and are dilated by 2 and 4 instead (Chen et al., arXiv 1706.05587). With ``dilated`` false they halve it,
    as for classification: features (N, channels[3], H/32, W/32), rounded up. ``weights``: "none", "imagenet"
    (torchvision's IMAGENET1K_V1) or a file, see :func:`pretrained`.
    """

    def __init__(self, depth: int, weights: str, dilated: bool = True) -> None:
        super().__init__()
        network = getattr(torchvision.models, f"resnet{depth}")(weights=None)
        network.fc = nn.Identity()
        if weights != "none":
            network.load_state_dict(pretrained(f"resnet{depth}", weights, network.state_dict()))
        self.stem = Stem(network)
        layers = [network.layer1, network.layer2, network.layer3, network.layer4]
        for layer, dilation in zip(layers, DILATIONS, strict=True):
            if dilated and dilation > 1:
                dilate(layer, dilation)
        self.layers = nn.ModuleList(layers)
        self.channels = channels(depth)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        for layer in self.layers:
            x = layer(x)
        return x

    def stage(self, number: int, x: Tensor) -> Tensor:
        """The output of layer ``number`` (0 to 3); layer 0 reads the image."""
        return self.layers[number](self.stem(x) if number == 0 else x)

    def stages(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each layer: what all blocks but the last one give, and the last block's output."""
        x, found = self.stem(image), []
        for layer in self.layers:
            before = layer[:-1](x)
            x = layer[-1](before)
            found.append((before, x))
        return found


def channels(depth: int) -> list[int]:
    """Output channels of layer1 .. layer4: Bottleneck networks (50 and more layers) have four times as many."""
    return [count * (4 if depth >= 50 else 1) for count in (64, 128, 256, 512)]


def dilate(layer: nn.Module, dilation: int) -> None:
    """Exchange a ResNet layer's stride for dilation, in place.

    The convolution that had the stride sees inputs of the former resolution, so its dilation is half.
    """
    for part in layer.modules():
        if isinstance(part, nn.Conv2d):
            rate = dilation // 2 if part.stride == (2, 2) else dilation
            part.stride = (1, 1)
            if part.kernel_size == (3, 3):
                part.dilation = part.padding = (rate, rate)


def projected_bottleneck(inputs: int, outputs: int) -> Bottleneck:
    """A Bottleneck block (N, inputs, H, W) -> (N, outputs, H, W) whose shortcut is conv1x1 -> BatchNorm."""
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    return Bottleneck(inputs, outputs // Bottleneck.expansion, downsample=shortcut)
