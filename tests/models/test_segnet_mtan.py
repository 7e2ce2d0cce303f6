"""MTAN on SegNet against its formulas and its published size."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.models.segnet_mtan import SegNetMTAN

COUNTS = (2, 2, 3, 3, 3)


def mtan(plain, image: Tensor, tasks: tuple[str, ...]) -> dict[str, Tensor]:
    """Section 3.2 of the paper, stage by stage."""
    x, positions, encoder = image, [], []
    for stage in range(5):
        encoder.append(plain.units(f"network.backbone.encoder.{stage}", x, COUNTS[stage]))
        x, position = F.max_pool2d(encoder[-1][-1], 2, 2, return_indices=True)
        positions.append(position)
    inputs, decoder = {}, {}
    for stage in reversed(range(5)):
        inputs[stage] = F.max_unpool2d(x, positions[stage], 2, 2)
        decoder[stage] = plain.units(f"network.backbone.decoder.{stage}", inputs[stage], COUNTS[stage])[-1]
        x = decoder[stage]
    outputs = {}
    for task in tasks:
        for stage in range(5):
            seen = encoder[stage][0] if stage == 0 else torch.cat([encoder[stage][0], attended], 1)
            attended = plain.mask(f"network.attention.{task}.encoder.{stage}", seen) * encoder[stage][-1]
            attended = F.max_pool2d(plain.unit(f"network.down.{stage}", attended), 2)
        for stage in reversed(range(5)):
            larger = F.interpolate(attended, scale_factor=2, mode="bilinear", align_corners=True)
            seen = torch.cat([inputs[stage], plain.unit(f"network.up.{stage}", larger)], 1)
            attended = plain.mask(f"network.attention.{task}.decoder.{stage}", seen) * decoder[stage]
        outputs[task] = plain.segnet_head(f"network.heads.{task}", attended)
    return outputs


def test_agrees_with_the_formulas(agrees: Callable[..., None]) -> None:
    model = SegNetMTAN({"segmentation": 5, "depth": 1}, width=1 / 16)
    agrees(model, lambda plain, image: mtan(plain, image, ("segmentation", "depth")))


@pytest.mark.parametrize(("tasks", "count"), [
    ({"segmentation": 13, "depth": 1, "normals": 3}, 44_229_073),
    ({"segmentation": 13, "depth": 1}, 38_185_805 + 2_984_576 + 36_993),  # stan, the masks and the head of one more task
])
def test_has_the_published_size(tasks: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        model = SegNetMTAN(tasks)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
