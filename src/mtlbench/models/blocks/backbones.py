"""The backbones that an option ``backbone`` names: one map of features, or maps of four resolutions."""

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from mtlbench.models.blocks.hrnet import HRNetBackbone
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.system.errors import ParamsError

#: Channels of every resolution of a ResNet's feature pyramid.
PYRAMID = 128
_RESNET = "resnet"


def one_map(name: str, weights: str, width: float) -> tuple[nn.Module, int]:
    """(backbone, channels): image -> features of a dilated ResNet's layer4, or of all HRNet's branches at its finest.

    ``name``: resnet18, resnet34, resnet50, resnet101 or hrnet18s, whose filters ``width`` multiplies. Raises
    ParamsError for pretrained weights of hrnet18s, of which there are none.
    """
    if name.startswith(_RESNET):
        backbone = ResNetBackbone(_depth(name), weights)
        return backbone, backbone.channels[-1]
    finest = _hrnet(weights, width)
    return finest, sum(finest.channels)


def four_maps(name: str, weights: str, width: float) -> "HRNetBackbone | ResNetPyramid":
    """A backbone with ``channels`` and ``scales(image)``: features at 1/4, 1/8, 1/16 and 1/32 of the image's size.

    ``name`` as in :func:`one_map`; ``width`` multiplies the filters of hrnet18s or of a ResNet's pyramid.
    """
    if name.startswith(_RESNET):
        return ResNetPyramid(_depth(name), weights, max(4, round(width * PYRAMID)))
    return _hrnet(weights, width)


def _depth(name: str) -> int:
    return int(name.removeprefix(_RESNET))


def _hrnet(weights: str, width: float) -> HRNetBackbone:
    if weights != "none":
        raise ParamsError(f"weights: expected 'none', there are no pretrained weights of hrnet18s; found '{weights}'")
    return HRNetBackbone(width)


class ResNetPyramid(nn.Module):
    """A ResNet that halves the resolution in layer2 to layer4, with a feature pyramid on its four layers.

    Lin et al., CVPR 2017 (arXiv 1612.03144), section 3: conv1x1 of each layer plus the enlarged coarser map (nearest
    neighbours), then conv3x3; ``channels`` of each resolution are equal.
    """

    def __init__(self, depth: int, weights: str, channels: int) -> None:
        super().__init__()
        self.backbone = ResNetBackbone(depth, weights, dilated=False)
        self.pyramid = FeaturePyramidNetwork(self.backbone.channels, channels)
        self.channels = [channels] * len(self.backbone.channels)

    def scales(self, image: Tensor) -> list[Tensor]:
        """Features at 1/4, 1/8, 1/16 and 1/32 of the image's size."""
        x, found = image, OrderedDict()
        for number in range(len(self.channels)):
            x = self.backbone.stage(number, x)
            found[str(number)] = x
        return list(self.pyramid(found).values())
