"""One dilated ResNet per task, joined by NDDR layers whose outputs all reach the head."""

from collections.abc import Mapping

from torch import Tensor, nn

from mtlbench.models.blocks.nddr import NDDR, Shortcut
from mtlbench.models.blocks.resnet import channels
from mtlbench.models.blocks.towers import MixedTowers
from mtlbench.plan.options import Depth, Dropout, Weights


class ResNetNDDRShortcut(MixedTowers):
    """NDDR-CNN with shortcuts: each head reads what all four NDDR layers gave its task, not the last one alone."""

    family = "resnet"
    parts = (("fusion", "units"), ("fusion", "shortcuts"))
    towers_of = "resnet_single"
    towers = (("backbones", "backbone"), ("heads", "head"))
    display = "NDDR-CNN, shortcuts (ResNet)"
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
        self.shortcuts = nn.ModuleDict({task: Shortcut(channels(depth)) for task in self.tasks})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        layers = zip(*self.mixed(image), strict=True)
        results = {
            task: shortcut(found) for (task, shortcut), found in zip(self.shortcuts.items(), layers, strict=True)
        }
        return {task: head(results[task], image.shape[-2:]) for task, head in self.heads.items()}
