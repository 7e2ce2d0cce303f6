"""ExcessMTL: tasks far from their optimum weigh more."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientRows, GradientWeighting


class ExcessMTL(GradientWeighting):
    """Weights that grow with exp(step_size e_t), e_t an estimate of the excess risk, relative to its first value.

    He et al., "Robust Multi-Task Learning with Excess Risks", ICML 2024 (arXiv 2402.02009), eq. 6 to 9:
    e_t = g_t^T diag(sum of squared gradients so far + 1e-7)^(-1/2) g_t, divided by its value at the first step; the
    weights start at 1 and keep the sum T. The sums (T times the shared parameters) are part of the state. A task whose
    first excess is 0 stays at relative excess 0.
    """

    display: ClassVar[str] = "ExcessMTL"
    paper: ClassVar[str] = "He et al., ICML 2024 (arXiv 2402.02009)"
    paper_title: ClassVar[str] = "Robust Multi-Task Learning with Excess Risks"
    needs_gradients: ClassVar[bool] = True

    squares: Tensor
    shares: Tensor
    first: Tensor
    started: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        step_size: Annotated[
            float, Field(gt=0, description="of the exponentiated gradient step"), Search(1e-3, 1.0, log=True)
        ] = 0.01,
    ) -> None:
        super().__init__(tasks)
        self.step_size = step_size
        self.register_rows("squares")
        self.register_buffer("shares", torch.full((self.count,), 1.0 / self.count, dtype=torch.float64))
        self.register_buffer("first", torch.ones(self.count, dtype=torch.float64))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def combine(self, rows: GradientRows, gram: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum of the gradients (P,) and the weights (T,)."""
        squares = self.tracked("squares", rows)
        excess = torch.zeros_like(self.first)
        for piece in rows.pieces():
            excess += _excess(rows.matrix[:, piece], squares[:, piece])
        self.first.copy_(torch.where(self.started, self.first, excess))
        relative = excess / torch.where(self.first > 0, self.first, torch.inf)
        moved = torch.softmax(self.shares.log() + self.step_size * relative, dim=0)
        self.shares.copy_(torch.where(self.started, moved, self.shares))
        self.started.fill_(True)
        weights = self.count * self.shares
        return rows.combination(weights), weights


def _excess(gradients: Tensor, squares: Tensor) -> Tensor:
    """The excess risks (T,) from the gradients (T, p); adds to their sums of squares (T, p)."""
    squares.addcmul_(gradients, gradients)
    return (gradients.square() * (squares + 1e-7).rsqrt()).sum(1).double()
