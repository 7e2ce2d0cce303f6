"""Progressive layered extraction on a dilated ResNet with DeepLabv3 heads."""

from collections.abc import Mapping

from mtlbench.models.blocks.extraction import ExtractionNetwork
from mtlbench.plan.options import Depth, Dropout, OwnExperts, SharedExperts, Weights


class ResNetPLE(ExtractionNetwork):
    """PLE: two levels of customized gate control, with copies of the third and of the fourth ResNet layer as experts.

    Section 4.2 of the paper: after the first level a shared gate blends all experts' features into those that the
    shared experts of the second level read; each task's own experts read the task's features.
    """

    family = "resnet"
    display = "PLE (ResNet)"
    paper = "Tang et al., RecSys 2020 (doi 10.1145/3383313.3412236)"
    paper_title = (
        "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized Recommendations"
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
        own_experts: OwnExperts = 1,
        shared_experts: SharedExperts = 1,
    ) -> None:
        super().__init__(tasks, 2, depth, weights, dropout, own_experts, shared_experts)
