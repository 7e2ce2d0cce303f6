"""The single-task ResNet against its formulas and torchvision's size."""

import pytest

from mtlbench.models.single_resnet import SingleResNet


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.slow)])
def test_agrees_with_the_formulas(agrees, depth: int) -> None:
    def forward(plain, image):
        return {"birds": plain.classes("heads.birds", plain.resnet("trunk", image, depth, dilated=False)[-1][-1])}

    agrees(SingleResNet({"birds": 5}, depth=depth), forward, (40, 36))


@pytest.mark.parametrize(
    ("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160)]
)
def test_has_the_size_that_torchvision_publishes(count, depth: int, parameters: int) -> None:
    assert count(SingleResNet, {"imagenet12": 1000}, depth=depth) == parameters
