"""A WRN-28-4 with a classifier per task."""

from collections.abc import Mapping

from mtlbench.models.blocks.classify import TrunkClassifier
from mtlbench.models.blocks.wide_resnet import WideResNetBackbone
from mtlbench.plan.options import BatchNorm, Width


class WRNSplit(TrunkClassifier):
    """One WRN-28-4 that all tasks share, with a linear classifier for each."""

    family = "wide_resnet"
    display = "Split (WRN-28-4)"
    paper = "Zagoruyko and Komodakis, BMVC 2016 (arXiv 1605.07146)"
    paper_title = "Wide Residual Networks"
    predicts = "classes"
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
        batch_norm: BatchNorm = None,
    ) -> None:
        trunk = WideResNetBackbone(width)
        super().__init__(tasks, trunk, trunk.channels[-1], batch_norm)
