"""The split SegNet against its formulas and its published size and cost."""

import pytest

from mtlbench.models.segnet_split import SegNetSplit

HEAD = 64 * 64 * 9 + 64 + 64 * 3 + 3  # of normals


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        _, decoder, _ = plain.segnet("backbone", image)
        return {task: plain.segnet_head(f"heads.{task}", decoder[0][-1]) for task in ("segmentation", "depth")}

    agrees(SegNetSplit({"segmentation": 5, "depth": 1}, width=1 / 16), forward)


def test_costs_what_the_reference_costs(count, gflop) -> None:
    parameters = count(SegNetSplit, {"segmentation": 13, "depth": 1, "normals": 3})
    assert parameters == 25_055_188 - 3  # the log-variances belong to the weighting
    assert gflop(SegNetSplit, {"segmentation": 13, "depth": 1, "normals": 3}) == pytest.approx(137.2, rel=0.01)
    assert count(SegNetSplit, {"segmentation": 13, "depth": 1}) == parameters - HEAD
