"""A VGG with a classifier per task."""

from collections.abc import Mapping

from mtlbench.models.blocks.classify import TrunkClassifier
from mtlbench.models.blocks.vgg import VGGBackbone
from mtlbench.plan.options import BatchNorm, VGGDepth, Weights, Width


class SplitVGG(TrunkClassifier):
    """One VGG that all tasks share, with a linear classifier for each."""

    family = "vgg"
    display = "Split (VGG)"
    paper = "Simonyan and Zisserman, ICLR 2015 (arXiv 1409.1556)"
    paper_title = "Very Deep Convolutional Networks for Large-Scale Image Recognition"
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
        trunk = VGGBackbone(depth, weights, width)
        super().__init__(tasks, trunk, trunk.channels[-1], batch_norm)
