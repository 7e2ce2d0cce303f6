"""The split SegNet against its formulas and its published size."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.models.segnet_split import SegNetSplit

COUNTS = (2, 2, 3, 3, 3)


def test_agrees_with_the_formulas(agrees: Callable[..., None]) -> None:
    def forward(plain, image: Tensor) -> dict[str, Tensor]:
        x, positions = image, []
        for stage in range(5):
            x = plain.units(f"backbone.encoder.{stage}", x, COUNTS[stage])[-1]
            x, position = F.max_pool2d(x, 2, 2, return_indices=True)
            positions.append(position)
        for stage in reversed(range(5)):
            x = F.max_unpool2d(x, positions[stage], 2, 2)
            x = plain.units(f"backbone.decoder.{stage}", x, COUNTS[stage])[-1]
        return {task: plain.segnet_head(f"heads.{task}", x) for task in ("segmentation", "depth")}

    agrees(SegNetSplit({"segmentation": 5, "depth": 1}, width=1 / 16), forward)


@pytest.mark.parametrize(("tasks", "count"), [
    ({"segmentation": 13, "depth": 1, "normals": 3}, 25_055_185),
    ({"segmentation": 13, "depth": 1}, 25_055_185 - 37_123),  # a head: 64 * 64 * 9 + 64 + 64 * 3 + 3
])
def test_has_the_published_size(tasks: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        model = SegNetSplit(tasks)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
