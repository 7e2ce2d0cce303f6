"""MTAN on DeepLabv3 against its formulas and its published size."""

import pytest
import torch
import torch.nn.functional as F

from mtlbench.models.resnet_mtan import ResNetMTAN


def attended_features(plain, task: str, layers):
    """The masked features of the last layer for one task."""
    x = torch.empty_like(layers[0][-1][:, :0])
    for stage, blocks in enumerate(layers):
        x = plain.mask(f"attention.{task}.{stage}", torch.cat([blocks[-2], x], 1)) * blocks[-1]
        if stage < 3:
            x = plain.bottleneck(f"down.{stage}", x)
        if stage == 0:
            x = F.max_pool2d(x, 2)
    return x


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.slow)])
def test_agrees_with_the_formulas(agrees, depth: int) -> None:
    tasks = {"segmentation": 5, "depth": 1} if depth == 18 else {"depth": 1}

    def forward(plain, image):
        layers = plain.resnet("backbone", image, depth)
        return {
            task: plain.deeplab_head(f"heads.{task}", attended_features(plain, task, layers), image.shape[-2:])
            for task in tasks
        }

    agrees(ResNetMTAN(tasks, depth=depth, dropout=0.0), forward)


def test_costs_what_the_reference_costs(count) -> None:
    assert count(ResNetMTAN, {"segmentation": 13, "depth": 1, "normals": 3}) == 92_347_921
    three, two = count(ResNetMTAN, dict.fromkeys("abc", 1)), count(ResNetMTAN, dict.fromkeys("ab", 1))
    assert count(ResNetMTAN, {"a": 1}) == two - (three - two)
