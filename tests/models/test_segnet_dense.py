"""The dense SegNet against its formulas and its published size and cost."""

import pytest
import torch
import torch.nn.functional as F

from mtlbench.models.segnet_dense import SegNetDense
from mtlbench.models.segnet_single import SegNetSingle


def shared_network(plain, image):
    """Pooled features of the five encoder stages and unpooled features of the five decoder stages."""
    x, pooled, positions = image, [], []
    for stage in range(5):
        x, position = F.max_pool2d(plain.units("shared_encoder", x, stage)[-1], 2, 2, return_indices=True)
        pooled.append(x)
        positions.append(position)
    unpooled = [x] * 5
    for stage in reversed(range(5)):
        unpooled[stage] = F.max_unpool2d(x, positions[stage], 2, 2)
        if stage:  # the outermost stage would feed nothing
            for number in range((2, 2, 3, 3, 3)[stage]):
                x = plain.unit(f"shared_decoder.{stage - 1}.{number}", unpooled[stage] if number == 0 else x)
    return pooled, unpooled


def task_network(plain, task: str, image, pooled, unpooled):
    """The outermost decoder features of a task."""
    x, positions = image, []
    for stage in range(5):
        seen = torch.cat([x, pooled[stage - 1]], 1) if stage else image
        x, position = F.max_pool2d(plain.units(f"encoders.{task}", seen, stage)[-1], 2, 2, return_indices=True)
        positions.append(position)
    for stage in reversed(range(5)):
        seen = torch.cat([F.max_unpool2d(x, positions[stage], 2, 2), unpooled[stage]], 1)
        x = plain.units(f"decoders.{task}", seen, stage)[-1]
    return x


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        features = shared_network(plain, image)
        return {
            task: plain.segnet_head(f"heads.{task}", task_network(plain, task, image, *features))
            for task in ("segmentation", "depth")
        }

    agrees(SegNetDense({"segmentation": 5, "depth": 1}, width=1 / 16), forward)


def test_costs_what_the_reference_costs(count, gflop) -> None:
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    parameters = count(SegNetDense, tasks)
    # The reference's block that feeds nothing: 64 -> 64 -> 13 with BatchNorm, at the image's size.
    dead = 64 * 64 * 9 + 64 + 2 * 64 + 64 * 13 * 9 + 13 + 2 * 13
    dead_gflop = 2 * (64 * 64 * 9 + 64 * 13 * 9) * 288 * 384 / 1e9
    assert parameters == 123_743_995 - 3 - dead
    assert gflop(SegNetDense, tasks) + dead_gflop == pytest.approx(651.6, rel=0.01)
    shared = count(SegNetSingle, {"depth": 1}) - (64 * 64 * 9 + 64 + 64 + 1) - 2 * (64 * 64 * 9 + 64 + 2 * 64)
    depth = count(SegNetDense, {"depth": 1}) - shared
    assert parameters == shared + 3 * depth + (13 - 1 + 3 - 1) * 65  # heads of 13, 1 and 3 channels
    assert count(SegNetDense, {"segmentation": 13, "depth": 1}) == shared + 2 * depth + (13 - 1) * 65
