"""Swin-T from its formulas, its cost, and weights from a file."""

import math

import pytest
import torch
import torch.nn.functional as F
import torchvision

from mtlbench.models.blocks.swin import SwinBackbone
from mtlbench.models.swin_split import SwinSplit
from mtlbench.system.errors import ParamsError

TASKS = {"segmentation": 13, "depth": 1, "normals": 3}
WINDOW, BLOCKS, HEADS = 7, (2, 2, 6, 2), (3, 6, 12, 24)


def layer_norm(plain, name, x):
    """Over the channels, which come last."""
    scaled = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return scaled * plain.tensors[f"{name}.weight"] + plain.tensors[f"{name}.bias"]


def linear(plain, name, x):
    bias = plain.tensors.get(f"{name}.bias")
    return x @ plain.tensors[f"{name}.weight"].mT + (0 if bias is None else bias)


def attention(plain, name, x, heads, shift):
    """Every pixel attends to the pixels of its window: a mask over all pairs of pixels, without windows cut out.

    The map is filled up with zeros to whole windows, which have keys and values like any pixel; with a shift, windows
    start ``shift`` later and wrap around, and pixels from the two sides of the border do not see each other.
    """
    count, height, width, channels = x.shape
    high, wide = (math.ceil(side / WINDOW) * WINDOW for side in (height, width))
    x = F.pad(x, (0, 0, 0, wide - width, 0, high - height)).reshape(count, high * wide, channels)
    rows, columns = (torch.arange(side) for side in (high, wide))
    moves = [shift if side > WINDOW else 0 for side in (high, wide)]
    part, place = [], []
    for line, side, move in ((rows, high, moves[0]), (columns, wide, moves[1])):
        moved = (line - move) % side
        area = (moved >= side - WINDOW).long() + (moved >= side - move).long() if move else torch.zeros_like(line)
        part.append(moved // WINDOW * 3 + area)
        place.append(moved % WINDOW)
    part = (part[0][:, None] * 1000 + part[1]).flatten()
    y, z = (torch.meshgrid(*place, indexing="ij")[axis].flatten() for axis in (0, 1))
    offset = (y[:, None] - y + WINDOW - 1) * (2 * WINDOW - 1) + (z[:, None] - z + WINDOW - 1)
    window = lambda line, side, move: ((line - move) % side) // WINDOW  # noqa: E731
    w = (window(rows, high, moves[0])[:, None] * 1000 + window(columns, wide, moves[1])).flatten()
    q, k, v = linear(plain, f"{name}.qkv", x).chunk(3, -1)
    q, k, v = (one.unflatten(-1, (heads, -1)).movedim(2, 1) for one in (q, k, v))
    offset = torch.where(w[:, None] == w, offset, 0)
    bias = plain.tensors[f"{name}.relative_position_bias_table"][offset].movedim(-1, 0)
    scores = q @ k.mT / math.sqrt(channels // heads) + bias
    scores = scores + torch.where(part[:, None] == part, 0.0, -100.0)  # of one window, but from beyond the border
    scores = scores.masked_fill(w[:, None] != w, -torch.inf)
    found = (scores.softmax(-1) @ v).movedim(1, 2).flatten(2)
    return linear(plain, f"{name}.proj", found).view(count, high, wide, channels)[:, :height, :width]


def backbone(plain, image, name="backbone"):
    x = plain.conv(f"{name}.patches.0", plain.normalised(image), stride=4).movedim(1, 3)
    x, features = layer_norm(plain, f"{name}.patches.2", x), []
    for stage, blocks in enumerate(BLOCKS):
        if stage:
            merge = f"{name}.merges.{stage - 1}"
            x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
            x = linear(plain, f"{merge}.reduction", layer_norm(plain, f"{merge}.norm", x))
        for number in range(blocks):
            block, shift = f"{name}.stages.{stage}.{number}", WINDOW // 2 if number % 2 else 0
            x = x + attention(plain, f"{block}.attn", layer_norm(plain, f"{block}.norm1", x), HEADS[stage], shift)
            hidden = F.gelu(linear(plain, f"{block}.mlp.0", layer_norm(plain, f"{block}.norm2", x)))
            x = x + linear(plain, f"{block}.mlp.3", hidden)
        features.append(layer_norm(plain, f"{name}.norms.{stage}", x).movedim(3, 1))
    return features


def enlarged(x, like):
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)


def joined(features):
    return torch.cat([features[0], *(enlarged(x, features[0]) for x in features[1:])], 1)


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        features, outputs = joined(backbone(plain, image)), {}
        for task in ("segmentation", "depth"):
            name = f"heads.{task}"
            hidden = plain.norm(f"{name}.hidden.1", plain.conv(f"{name}.hidden.0", features)).relu()
            outputs[task] = enlarged(plain.conv(f"{name}.output", hidden), image)
        return outputs

    # 64 x 96: a first map of 16 x 24, so that windows are filled up and shifted in both directions.
    agrees(SwinSplit({"segmentation": 5, "depth": 1}, width=1 / 8, stochastic_depth=0.0), forward, (64, 96))


def test_costs_what_the_published_backbone_costs(count) -> None:
    # Swin-T without its classifier (768 x 1000 + 1000), and four LayerNorms in place of one.
    published = 28_288_354 - 769_000 + 2 * (96 + 192 + 384)
    heads = 3 * (1440 * 256 + 256 + 2 * 256) + 17 * (256 + 1)
    assert count(SwinSplit, TASKS) == published + heads


def test_blocks_are_skipped_in_training_only() -> None:
    model, image = SwinSplit({"depth": 1}, width=1 / 8, stochastic_depth=0.9), torch.rand(2, 3, 32, 32)
    assert not torch.equal(model.backbone(image)[-1], model.backbone(image)[-1])
    model.eval()
    assert torch.equal(model.backbone(image)[-1], model.backbone(image)[-1])


def test_weights_come_from_a_file(tmp_path) -> None:
    network = torchvision.models.swin_t().eval()
    torch.save(network.state_dict(), tmp_path / "swin.pth")
    found = SwinBackbone(1.0, str(tmp_path / "swin.pth"), 0.0).eval()
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        expected = F.layer_norm(network.features(found.normalize(image)), [768]).permute(0, 3, 1, 2)
        torch.testing.assert_close(found(image)[-1], expected)


def test_weights_of_another_network_or_width_are_refused(tmp_path) -> None:
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ParamsError, match="expected the tensors of torchvision's swin_t"):
        SwinBackbone(1.0, str(tmp_path / "resnet.pth"), 0.0)
    with pytest.raises(ParamsError, match=r"expected width 1 with weights .imagenet., found 0\.5"):
        SwinBackbone(0.5, "imagenet", 0.0)
