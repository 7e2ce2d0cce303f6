"""VGG with BatchNorm as a backbone: the encoder of the SegNet family, for images of any size."""

import torch
from torch import Tensor, nn

from mtlbench.models.blocks.normalize import Normalize
from mtlbench.models.blocks.pooling import CeilMaxPool
from mtlbench.models.blocks.pretrained import pretrained
from mtlbench.models.blocks.segnet import block, initialise, scaled

#: Convolutions of the five stages, by the number of layers (the three linear ones of the paper counted).
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGGBackbone(nn.Module):
    """An image (N, 3, H, W) with values in [0, 1] -> features (N, channels[4], H/32, W/32), rounded up.

    Simonyan and Zisserman, ICLR 2015 (arXiv 1409.1556), with BatchNorm: torchvision's ``vgg16_bn`` without its
    classifier. Departure: max-pooling in ceil mode, so that any size works; nothing changes for sizes that 32 divides.
    ``weights``: "none" (He's initialisation, as in torchvision), "imagenet" or a file, see :func:`pretrained`.
    """

    def __init__(self, depth: int, weights: str, width: float) -> None:
        super().__init__()
        self.channels = scaled(width)
        stages = zip([3, *self.channels[:-1]], self.channels, CONVOLUTIONS[depth], strict=True)
        self.normalize = Normalize()
        self.blocks = nn.ModuleList(block([inputs] + [outputs] * count) for inputs, outputs, count in stages)
        self.pool = CeilMaxPool()
        if weights == "none":
            initialise(self, lambda tensor: nn.init.kaiming_normal_(tensor, mode="fan_out", nonlinearity="relu"))
        else:
            self._load(f"vgg{depth}_bn", weights)

    def forward(self, image: Tensor) -> Tensor:
        x = image
        for number in range(len(self.blocks)):
            x = self.stage(number, x)
        return x

    def stage(self, number: int, x: Tensor) -> Tensor:
        """The pooled output of stage ``number`` (0 to 4); stage 0 reads the image."""
        return self.pool(self.blocks[number](self.normalize(x) if number == 0 else x))

    def stages(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each stage: the first and the last convolution's output, behind BatchNorm and ReLU."""
        x, found = self.normalize(image), []
        for number, units in enumerate(self.blocks):
            first = units[0](self.pool(x) if number else x)
            x = units[1:](first)
            found.append((first, x))
        return found

    def _load(self, network: str, weights: str) -> None:
        import torchvision  # here, because it takes as long to start as torch

        with torch.device("meta"):
            names = list(getattr(torchvision.models, network)().features.state_dict(prefix="features."))
        own = self.blocks.state_dict()  # the same tensors in the same order
        state = pretrained(network, weights, dict(zip(names, own.values(), strict=True)))
        self.blocks.load_state_dict({name: state[theirs] for name, theirs in zip(own, names, strict=True)})
