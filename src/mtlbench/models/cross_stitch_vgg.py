"""One VGG per task, joined by cross-stitch units, for classification."""

from collections.abc import Mapping

from mtlbench.models.blocks.stitched import StitchedClassifier
from mtlbench.models.blocks.vgg import VGGBackbone
from mtlbench.plan.options import BatchNorm, VGGDepth, Weights, Width


class CrossStitchVGG(StitchedClassifier):
    """One VGG per task, equal at first; a cross-stitch unit mixes their features after each of the five stages."""

    family = "vgg"
    parts = (("fusion", "units"),)
    towers_of = "single_vgg"
    towers = (("backbones", "trunk"), ("heads", "heads.{task}"))
    display = "Cross-Stitch (VGG)"
    paper = "Misra et al., CVPR 2016 (arXiv 1604.03539)"
    paper_title = "Cross-Stitch Networks for Multi-Task Learning"
    predicts = "classes"
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: VGGDepth = 16,
        weights: Weights = "none",
        width: Width = 1.0,
        batch_norm: BatchNorm = None,
    ) -> None:
        super().__init__(tasks, VGGBackbone(depth, weights, width), batch_norm)
