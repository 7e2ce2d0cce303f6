"""Dual-balancing: logarithms of the losses and equally long gradients."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientRows, GradientWeighting


class DBMTL(GradientWeighting):
    """The sum of the running means of the gradients of log(L_t + 1e-8), all scaled to the longest.

    Lin et al., "Dual-Balancing for Multi-Task Learning", 2023 (arXiv 2308.12029), algorithm 1: the running mean is
    y_t = b y_t + (1 - b) g_t with b = beta / step^beta_decay, from y = 0. Task-specific parameters get the gradient of
    log(L_t + 1e-8). The logged weights are the factors of the y_t; norms and cosines are of the logarithms' gradients.
    The y_t (T times the shared parameters) are part of the state.
    """

    display: ClassVar[str] = "DB-MTL"
    paper: ClassVar[str] = "Lin et al., 2023 (arXiv 2308.12029)"
    paper_title: ClassVar[str] = "Dual-Balancing for Multi-Task Learning"
    needs_gradients: ClassVar[bool] = True

    means: Tensor
    steps: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        beta: Annotated[float, Field(ge=0, lt=1, description="share of the old mean"), Search(0.1, 0.95)] = 0.9,
        beta_decay: Annotated[float, Field(ge=0, description="beta is divided by step^beta_decay")] = 0.0,
    ) -> None:
        super().__init__(tasks)
        self.beta = beta
        self.beta_decay = beta_decay
        self.register_rows("means")
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))

    def transform(self, losses: Sequence[Tensor]) -> Sequence[Tensor]:
        """The logarithms of the losses."""
        return [torch.log(loss + 1e-8) for loss in losses]

    def combine(self, rows: GradientRows, gram: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the scaled running means (P,) and their factors (T,)."""
        self.steps += 1
        means = self.tracked("means", rows)
        means.lerp_(rows.matrix, (1.0 - self.beta / self.steps**self.beta_decay).to(means.dtype))
        norms = rows.gram(means).diagonal().sqrt()
        # A zero gradient keeps a finite factor (at most 1e12), whatever the others are.
        weights = norms.max() / norms.clamp_min(1e-12 * norms.max())
        weights = torch.where(norms.max() > 0, weights, torch.where(norms.isnan(), norms, torch.ones_like(norms)))
        return rows.combination(weights, means), weights
