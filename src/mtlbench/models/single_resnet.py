"""Single-task ResNet for classification."""

from collections.abc import Mapping

from mtlbench.models.blocks.classify import TrunkClassifier
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.plan.options import Depth, Weights


class SingleResNet(TrunkClassifier):
    """One ResNet with a classifier for one task: the baseline of the comparison."""

    family = "resnet_classifier"
    display = "ResNet"
    paper = "He et al., CVPR 2016 (arXiv 1512.03385)"
    paper_title = "Deep Residual Learning for Image Recognition"
    predicts = "classes"
    single_task = True
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Depth = 50,
        weights: Weights = "none",
    ) -> None:
        trunk = ResNetBackbone(depth, weights, dilated=False)
        super().__init__(tasks, trunk, trunk.channels[-1])
