"""The NDDR layer: T feature maps become T projections of all of them."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.models.blocks.resize import Bilinear

#: Diagonal of the initial projection of a task's own features and of those of the other tasks (section 4.2).
OWN, OTHER = 0.9, 0.1


class NDDR(nn.Module):
    """y_t = ReLU(BatchNorm(W_t concat(x_1, ..., x_T))) for T feature maps (N, C, H, W), W_t a 1x1 convolution.

    Neural discriminative dimensionality reduction, Gao et al., CVPR 2019 (arXiv 1801.08297), section 3.2, with
    the diagonal initialisation: 0.9 for the own features, 0.1 for the others; BatchNorm momentum 0.05.
    The weights of a target task are one parameter (C, T, C): outputs, sources in the order of ``tasks``, inputs.
    """

    diagram: ClassVar[str] = "mix"

    def __init__(self, tasks: Iterable[str], channels: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        eye = torch.eye(channels)
        self.by_source = nn.ParameterDict(
            {
                target: torch.stack([eye * (OWN if source == target else OTHER) for source in self.tasks], 1)
                for target in self.tasks
            }
        )
        self.norm = nn.ModuleDict({task: nn.BatchNorm2d(channels, momentum=0.05) for task in self.tasks})

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        everything = torch.cat(list(features), 1)
        return [self._project(everything, target) for target in self.tasks]  # a ParameterDict sorts its keys

    def _project(self, everything: Tensor, target: str) -> Tensor:
        weights = self.by_source[target].flatten(1)[..., None, None]
        return F.relu(self.norm[target](F.conv2d(everything, weights)), inplace=True)


class Shortcut(nn.Module):
    """ReLU(BatchNorm(W concat(x_1, ..., x_L))): what one task's NDDR layers gave, all at the size of the last one.

    The shortcut variant of Gao et al., CVPR 2019: the features of L layers (N, C_l, H_l, W_l), bilinearly resized,
    become features (N, C_L, H_L, W_L) by a 1x1 convolution W of this task.
    """

    diagram: ClassVar[str] = "conv"

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.resize = Bilinear()
        self.project = nn.Conv2d(sum(channels), channels[-1], 1, bias=False)
        self.norm = nn.BatchNorm2d(channels[-1], momentum=0.05)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        height, width = features[-1].shape[-2:]
        same = [x if x.shape[-2:] == (height, width) else self.resize(x, (height, width)) for x in features]
        return F.relu(self.norm(self.project(torch.cat(same, 1))), inplace=True)
