"""The single-task SegNet against its formulas and its published size and cost."""

import pytest
from torch import nn

from mtlbench.models.segnet_single import SegNetSingle
from mtlbench.system.errors import ParamsError


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        _, decoder, _ = plain.segnet("backbone", image)
        return {"depth": plain.segnet_head("head", decoder[0][-1])}

    agrees(SegNetSingle({"depth": 1}, width=1 / 16), forward)


@pytest.mark.parametrize(
    ("task", "channels", "parameters"),
    [("segmentation", 13, 24_981_069), ("depth", 1, 24_980_289), ("normals", 3, 24_980_419)],
)
def test_costs_what_the_reference_costs(count, gflop, task: str, channels: int, parameters: int) -> None:
    assert count(SegNetSingle, {task: channels}) == parameters
    assert gflop(SegNetSingle, {task: channels}) == pytest.approx(120.8, rel=0.01)


def test_refuses_two_tasks() -> None:
    with pytest.raises(ParamsError, match="expected one task, found 2: depth, normals"):
        SegNetSingle({"depth": 1, "normals": 3})


def test_a_narrow_network_keeps_four_filters() -> None:
    convolutions = [part for part in SegNetSingle({"depth": 4}, width=1e-3).modules() if isinstance(part, nn.Conv2d)]
    assert {part.out_channels for part in convolutions} == {4}
