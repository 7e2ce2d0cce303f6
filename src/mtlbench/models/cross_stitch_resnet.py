"""One ResNet per task, joined by cross-stitch units, for classification."""

from collections.abc import Mapping

from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.models.blocks.stitched import StitchedClassifier
from mtlbench.plan.options import BatchNorm, Depth, Weights


class CrossStitchResNet(StitchedClassifier):
    """One ResNet per task, equal at first; a cross-stitch unit mixes their features after each of the four layers."""

    family = "resnet_classifier"
    parts = (("fusion", "units"),)
    towers_of = "single_resnet"
    towers = (("backbones", "trunk"), ("heads", "heads.{task}"))
    display = "Cross-Stitch (ResNet, classes)"
    paper = "Misra et al., CVPR 2016 (arXiv 1604.03539)"
    paper_title = "Cross-Stitch Networks for Multi-Task Learning"
    predicts = "classes"
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
        batch_norm: BatchNorm = None,
    ) -> None:
        super().__init__(tasks, ResNetBackbone(depth, weights, dilated=False), batch_norm)
