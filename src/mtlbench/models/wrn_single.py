"""Single-task WRN-28-4."""

from collections.abc import Mapping

from mtlbench.models.blocks.classify import TrunkClassifier
from mtlbench.models.blocks.wide_resnet import WideResNetBackbone
from mtlbench.plan.options import Width


class WRNSingle(TrunkClassifier):
    """One WRN-28-4 with a classifier for one task: the baseline of the comparison."""

    family = "wide_resnet"
    display = "WRN-28-4"
    paper = "Zagoruyko and Komodakis, BMVC 2016 (arXiv 1605.07146)"
    paper_title = "Wide Residual Networks"
    predicts = "classes"
    single_task = True
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
    ) -> None:
        trunk = WideResNetBackbone(width)
        super().__init__(tasks, trunk, trunk.channels[-1])
