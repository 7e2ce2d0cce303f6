"""One dilated ResNet per task, joined by cross-stitch units."""

from collections.abc import Mapping

from mtlbench.models.blocks.cross_stitch import CrossStitch
from mtlbench.models.blocks.towers import MixedTowers
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetCrossStitch(MixedTowers):
    """One DeepLabv3 per task; a cross-stitch unit mixes their features after each of the four layers."""

    family = "resnet"
    parts = (("fusion", "units"),)
    towers_of = "resnet_single"
    towers = (("backbones", "backbone"), ("heads", "head"))
    display = "Cross-Stitch (ResNet)"
    paper = "Misra et al., CVPR 2016 (arXiv 1604.03539)"
    paper_title = "Cross-Stitch Networks for Multi-Task Learning"
    size_multiple = 8
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
        dropout: Dropout = 0.5,
    ) -> None:
        super().__init__(tasks, CrossStitch, depth, weights, dropout)
