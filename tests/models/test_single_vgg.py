"""The single-task VGG against its formulas and torchvision's size."""

import pytest

from mtlbench.models.single_vgg import SingleVGG


def test_agrees_with_the_formulas(agrees, halved) -> None:
    def forward(plain, image):
        return {"birds": plain.classes("heads.birds", halved(plain.vgg16("trunk", image)[-1][-1]))}

    agrees(SingleVGG({"birds": 5}, width=1 / 16), forward, (72, 84))


@pytest.mark.parametrize(
    ("depth", "parameters"), [(11, 132_868_840), (13, 133_053_736), (16, 138_365_992), (19, 143_678_248)]
)
def test_has_the_size_that_torchvision_publishes_but_for_the_classifier(count, depth: int, parameters: int) -> None:
    three_linear_layers = (512 * 49 + 1) * 4096 + 4097 * 4096 + 4097 * 1000
    assert count(SingleVGG, {"imagenet12": 1000}, depth=depth) == parameters - three_linear_layers + 513 * 1000
