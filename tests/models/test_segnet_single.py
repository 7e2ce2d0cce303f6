"""The single-task SegNet against its formulas and its published size."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.errors import ParamsError
from mtlbench.models.segnet_single import SegNetSingle

COUNTS = (2, 2, 3, 3, 3)


def backbone(plain, name: str, image: Tensor) -> Tensor:
    """The outermost decoder features."""
    x, positions = image, []
    for stage in range(5):
        x = plain.units(f"{name}.encoder.{stage}", x, COUNTS[stage])[-1]
        x, position = F.max_pool2d(x, 2, 2, return_indices=True)
        positions.append(position)
    for stage in reversed(range(5)):
        x = F.max_unpool2d(x, positions[stage], 2, 2)
        x = plain.units(f"{name}.decoder.{stage}", x, COUNTS[stage])[-1]
    return x


def test_agrees_with_the_formulas(agrees: Callable[..., None]) -> None:
    def forward(plain, image: Tensor) -> dict[str, Tensor]:
        return {"depth": plain.segnet_head("head", backbone(plain, "backbone", image))}

    agrees(SegNetSingle({"depth": 1}, width=1 / 16), forward)


@pytest.mark.parametrize(("task", "channels", "count"), [
    ("segmentation", 13, 24_981_069), ("depth", 1, 24_980_289), ("normals", 3, 24_980_419),
])
def test_has_the_published_size(task: str, channels: int, count: int) -> None:
    with torch.device("meta"):
        model = SegNetSingle({task: channels})
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_refuses_two_tasks() -> None:
    with pytest.raises(ParamsError, match="expected one task, found 2: depth, normals"):
        SegNetSingle({"depth": 1, "normals": 3})
