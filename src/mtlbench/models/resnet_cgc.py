"""Customized gate control on a dilated ResNet with DeepLabv3 heads."""

from collections.abc import Mapping

from mtlbench.models.blocks.extraction import ExtractionNetwork
from mtlbench.plan.options import Depth, Dropout, OwnExperts, SharedExperts, Weights


class ResNetCGC(ExtractionNetwork):
    """CGC: copies of the last ResNet layer are experts, some of one task and some shared, blended by a gate per task.

    Section 4.1 of the paper: task t sees a softmax-weighted sum of its own and the shared experts' features, so what is
    another task's never reaches it (in MMoE all experts are shared).
    """

    family = "resnet"
    display = "CGC (ResNet)"
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
        super().__init__(tasks, 1, depth, weights, dropout, own_experts, shared_experts)
