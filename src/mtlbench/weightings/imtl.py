"""Impartial learning: balanced losses and balanced gradients."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._equations import equal_projections


class IMTL(GradientWeighting):
    """IMTL-G on the gradients of the scaled losses exp(s_t) L_t - s_t of IMTL-L, with learned s_t.

    Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.3. Task-specific parameters get the
    gradient of their scaled loss. The logged weights are those of the unscaled gradients, exp(s_t) a_t.
    """

    display: ClassVar[str] = "IMTL"
    paper: ClassVar[str] = "Liu et al., ICLR 2021 (openreview IMPnRXEWpvr)"
    paper_title: ClassVar[str] = "Towards Impartial Multi-task Learning"
    needs_gradients: ClassVar[bool] = True

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_scale = nn.Parameter(torch.zeros(self.count))

    def transform(self, losses: Sequence[Tensor]) -> Sequence[Tensor]:
        """The scaled losses."""
        return [scale.exp() * loss - scale for scale, loss in zip(self.log_scale, losses, strict=True)]

    def update(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
        """As for every gradient method; weights relative to the unscaled losses."""
        return super().update(losses, shared) * self.log_scale.detach().exp()

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,) of the scaled losses' gradients, of sum 1."""
        weights, failed = equal_projections(gram)
        self.record_failure(failed)
        return weights
