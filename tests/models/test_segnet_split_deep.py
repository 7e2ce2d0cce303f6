"""The deep split SegNet against its formulas and its published size and cost."""

import pytest

from mtlbench.models.segnet_split_deep import SegNetSplitDeep

HEAD = 64 * 64 * 9 + 64 + 64 * 3 + 3  # of normals


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        _, decoder, _ = plain.segnet("backbone", image, repeats=2)
        return {task: plain.segnet_head(f"heads.{task}", decoder[0][-1]) for task in ("segmentation", "depth")}

    agrees(SegNetSplitDeep({"segmentation": 5, "depth": 1}, width=1 / 16), forward)


def test_costs_what_the_reference_costs(count, gflop) -> None:
    parameters = count(SegNetSplitDeep, {"segmentation": 13, "depth": 1, "normals": 3})
    assert parameters == 50_807_764 - 3  # the log-variances belong to the weighting
    assert gflop(SegNetSplitDeep, {"segmentation": 13, "depth": 1, "normals": 3}) == pytest.approx(263.6, rel=0.01)
    assert count(SegNetSplitDeep, {"segmentation": 13, "depth": 1}) == parameters - HEAD
