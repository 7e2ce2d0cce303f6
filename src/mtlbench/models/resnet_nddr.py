"""One dilated ResNet per task, joined by NDDR layers."""

from collections.abc import Mapping

from mtlbench.models.blocks.nddr import NDDR
from mtlbench.models.blocks.towers import MixedTowers
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetNDDR(MixedTowers):
    """NDDR-CNN: one DeepLabv3 per task; after each of the four layers every task projects all features to its own."""

    family = "resnet"
    parts = (("fusion", "units"),)
    towers_of = "resnet_single"
    towers = (("backbones", "backbone"), ("heads", "head"))
    display = "NDDR-CNN (ResNet)"
    paper = "Gao et al., CVPR 2019 (arXiv 1801.08297)"
    paper_title = (
        "NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural Discriminative Dimensionality Reduction"
    )
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
        super().__init__(tasks, NDDR, depth, weights, dropout)
