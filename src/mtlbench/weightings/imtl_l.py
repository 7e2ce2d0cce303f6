"""Impartial learning, loss balance: a learned scale for each loss."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlbench.weightings import Weighting, detached


class IMTLL(Weighting):
    """The sum of exp(s_t) L_t - s_t with learned s_t, which brings all scaled losses to 1.

    Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.2 (base e, start 0). The s_t are
    learned by the model's optimiser; the weight is exp(s_t). The total may become negative.
    """

    display: ClassVar[str] = "IMTL-L"
    paper: ClassVar[str] = "Liu et al., ICLR 2021 (openreview IMPnRXEWpvr)"
    paper_title: ClassVar[str] = "Towards Impartial Multi-task Learning"

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_scale = nn.Parameter(torch.zeros(self.count))

    def update(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
        """One pass over the scaled losses; the gradient of s_t is exp(s_t) L_t - 1."""
        weights = self.log_scale.detach().exp()
        self.log_scale.grad = weights * detached(losses) - 1.0
        return self.apply_weights(losses, weights)
