"""Swin-T of torchvision as a backbone: features of four scales."""

import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer

from mtlbench.models.blocks.normalize import Normalize
from mtlbench.models.blocks.pretrained import pretrained
from mtlbench.models.blocks.resize import Bilinear
from mtlbench.system.errors import ParamsError

#: Of Swin-T (Liu et al., ICCV 2021, table 7): channels of the first stage, blocks and heads of the four, window.
CHANNELS, BLOCKS, HEADS, WINDOW = 96, (2, 2, 6, 2), (3, 6, 12, 24), 7
#: Channels inside a head.
HIDDEN = 256
#: The tensors of torchvision's network that only its classifier reads.
_CLASSIFIER = ("norm.", "head.")


class SwinBackbone(nn.Module):
    """An image (N, 3, H, W) with values in [0, 1] -> features of the four stages, (N, channels[i], H/4/2^i, W/4/2^i).

    Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021 (arXiv 2103.14030),
    with a LayerNorm behind each stage, as its authors use it for dense prediction. ``width`` multiplies the channels of
    the first stage (rounded to multiples of its three heads), and with them all others.
    """

    def __init__(self, width: float, weights: str, stochastic_depth: float) -> None:
        super().__init__()
        if width != 1 and weights != "none":
            raise ParamsError(f"swin: expected width 1 with weights '{weights}', found {width:g}")
        first = HEADS[0] * max(1, round(CHANNELS * width / HEADS[0]))
        self.channels = [first * 2**stage for stage in range(len(BLOCKS))]
        network = SwinTransformer(
            [4, 4], first, list(BLOCKS), list(HEADS), [WINDOW, WINDOW], stochastic_depth_prob=stochastic_depth,
            num_classes=1,
        )  # fmt: skip
        self.normalize = Normalize()
        self.patches = network.features[0]
        self.stages = nn.ModuleList(network.features[1::2])
        self.merges = nn.ModuleList(network.features[2::2])
        if weights != "none":
            expected = {name: t for name, t in network.state_dict().items() if not name.startswith(_CLASSIFIER)}
            network.load_state_dict(pretrained("swin_t", weights, expected, _CLASSIFIER), strict=False)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, features = self.patches(self.normalize(image)), []
        for number, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            x = stage(self.merges[number - 1](x) if number else x)
            features.append(norm(x).permute(0, 3, 1, 2))
        return features


class Joined(nn.Module):
    """Features of several scales, enlarged to the first one's size and concatenated: (N, sum of channels, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.enlarge = Bilinear()

    def forward(self, features: list[Tensor]) -> Tensor:
        first, *others = features
        return torch.cat([first, *(self.enlarge(x, first.shape[-2:]).to(x.dtype) for x in others)], 1)
