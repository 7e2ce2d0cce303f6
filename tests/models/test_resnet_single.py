"""The single-task DeepLabv3 against its formulas and its published size."""

import pytest

from mtlbench.models.resnet_single import ResNetSingle


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.slow)])
def test_agrees_with_the_formulas(agrees, depth: int) -> None:
    def forward(plain, image):
        features = plain.resnet("backbone", image, depth)[-1][-1]
        return {"depth": plain.deeplab_head("head", features, image.shape[-2:])}

    agrees(ResNetSingle({"depth": 1}, depth=depth, dropout=0.0), forward)


@pytest.mark.parametrize(
    ("task", "channels", "parameters"),
    [("segmentation", 13, 39_636_813), ("depth", 1, 39_633_729), ("normals", 3, 39_634_243)],
)
def test_costs_what_the_reference_costs(count, task: str, channels: int, parameters: int) -> None:
    assert count(ResNetSingle, {task: channels}) == parameters
