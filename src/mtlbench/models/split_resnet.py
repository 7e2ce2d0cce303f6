"""A ResNet for classification with a classifier per task."""

from collections.abc import Mapping

from mtlbench.models.blocks.classify import TrunkClassifier
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.plan.options import BatchNorm, Depth, Weights


class SplitResNet(TrunkClassifier):
    """One ResNet that all tasks share, with a linear classifier for each."""

    family = "resnet_classifier"
    display = "Split (ResNet, classes)"
    paper = "He et al., CVPR 2016 (arXiv 1512.03385)"
    paper_title = "Deep Residual Learning for Image Recognition"
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
        trunk = ResNetBackbone(depth, weights, dilated=False)
        super().__init__(tasks, trunk, trunk.channels[-1], batch_norm)
