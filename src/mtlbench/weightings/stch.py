"""Smooth Tchebycheff scalarization of relative losses."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting, positive


class STCH(Weighting):
    """T mu log(sum of exp(log(L_t / N_t) / mu)), a smooth maximum of the relative losses, after a warm-up.

    Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML 2024 (arXiv 2402.19078),
    eq. 8, in the form of the authors' multi-task code: for the first ``warm_up`` + 1 epochs the sum of log L_t is
    minimised; N_t is the mean training loss of the last of them (epoch number ``warm_up``, from 0). The weights are
    T softmax(log(L_t / N_t) / mu) / L_t. Losses must not be negative; below 1e-12 they count as 1e-12.
    """

    display: ClassVar[str] = "STCH"
    paper: ClassVar[str] = "Lin et al., ICML 2024 (arXiv 2402.19078)"
    paper_title: ClassVar[str] = "Smooth Tchebycheff Scalarization for Multi-Objective Optimization"

    nadir: Tensor
    smooth: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        mu: Annotated[
            float, Field(gt=0, description="smoothness; smaller is nearer to the maximum"), Search(0.1, 10.0, log=True)
        ] = 1.0,
        warm_up: Annotated[int, Field(ge=0, description="number of the epoch whose mean losses are the scale")] = 4,
    ) -> None:
        super().__init__(tasks)
        self.mu = mu
        self.warm_up = warm_up
        self.register_buffer("nadir", torch.ones(self.count))
        self.register_buffer("smooth", torch.zeros((), dtype=torch.bool))

    def begin_epoch(self, epoch: int, history: Sequence[Sequence[float]]) -> None:
        """Fix the scale when the warm-up is over."""
        self.smooth.fill_(epoch > self.warm_up)
        if epoch > self.warm_up:
            self.nadir.copy_(positive(torch.tensor(history[self.warm_up])))

    def weights(self, losses: Tensor) -> Tensor:
        """The derivatives (T,) of the scalarization with respect to the losses."""
        losses = positive(losses)
        share = self.count * torch.softmax((losses / self.nadir).log() / self.mu, dim=0)
        return torch.where(self.smooth, share, torch.ones_like(share)) / losses
