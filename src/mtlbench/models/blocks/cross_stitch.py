"""The cross-stitch unit: T feature maps become T mixtures of them."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlbench.models.blocks.mixture import mixture

#: Initial weight of a task's own features and of those of the other tasks (Misra et al., section 4.2).
OWN, OTHER = 0.9, 0.1


class CrossStitch(nn.Module):
    """y_t = sum over s of a[t, s] x_s for T feature maps (N, C, H, W), with one a[t, s] for each channel.

    Misra et al., CVPR 2016 (arXiv 1604.03539), eq. 1. ``channels`` = 1 gives one weight for a whole layer. The
    weights of a target task are one parameter (T, channels), a row for each source in the order of
    ``tasks``, so that a row of weights that only one loss reaches counts as that task's own.
    """

    diagram: ClassVar[str] = "mix"

    def __init__(self, tasks: Iterable[str], channels: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.by_source = nn.ParameterDict(
            {
                target: torch.tensor([[OWN if source == target else OTHER] for source in self.tasks]).repeat(
                    1, channels
                )
                for target in self.tasks
            }
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [mixture(self.by_source[target], features) for target in self.tasks]  # a ParameterDict sorts its keys
