"""MoDo: weights that follow the minimum norm by products of two independent gradients."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientRows, GradientWeighting
from mtlbench.weightings._optimise import onto_simplex


class MoDo(GradientWeighting):
    """The update G^T l; l = projection on the simplex of l - gamma (G_1 G_2^T + rho I) l, G_1 and G_2 of two batches.

    Chen, Fernando, Ying, Chen, "Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and
    Conflict-Avoidance", NeurIPS 2023 (arXiv 2305.20057), from l = 1/T. Two independent batches keep the
    product free of the bias that the noise of one batch's gradients gives its squared norms.

    Departure: the paper draws three batches for one update. Here, as for every other weighting, a step sees one; G_1 is
    the matrix of the step before, whose batch is another one and whose network differs by one update. The first step
    therefore leaves l at 1/T. G_1 (T times the shared parameters) is part of the state.
    """

    display: ClassVar[str] = "MoDo"
    paper: ClassVar[str] = "Chen et al., NeurIPS 2023 (arXiv 2305.20057)"
    paper_title: ClassVar[str] = (
        "Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and Conflict-Avoidance"
    )
    needs_gradients: ClassVar[bool] = True

    before: Tensor
    shares: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        gamma: Annotated[
            float, Field(gt=0, description="step size of the weights"), Search(1e-4, 1e-1, log=True)
        ] = 0.001,
        rho: Annotated[float, Field(ge=0, description="regularisation of the weights")] = 0.1,
    ) -> None:
        super().__init__(tasks)
        self.gamma, self.rho = gamma, rho
        self.register_rows("before")
        self.register_buffer("shares", torch.full((self.count,), 1.0 / self.count, dtype=torch.float64))

    def combine(self, rows: GradientRows, gram: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The combination of the gradients (P,) and the weights (T,) of sum 1."""
        before = self.tracked("before", rows)
        slope = rows.products(before) @ self.shares + self.rho * self.shares
        self.shares.copy_(onto_simplex(self.shares - self.gamma * slope))
        before.copy_(rows.matrix)
        return rows.combination(self.shares), self.shares.clone()
