"""MoCo: weights and gradients tracked over the steps against the bias of single batches."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientRows, GradientWeighting
from mtlbench.weightings._optimise import onto_simplex


class MoCo(GradientWeighting):
    """The combination of tracked gradients y_t with weights that follow the minimum norm slowly.

    Fernando et al., "Mitigating Gradient Bias in Multi-objective Learning: A Provably Convergent Approach", ICLR 2023
    (arXiv 2210.12624), eq. 10 and 11: y = y - b (y - g), b = beta / step^beta_decay, from y = 0, without the
    projection of y on a ball; l = projection on the simplex of l - c (Y Y^T + rho I) l, c = gamma / step^gamma_decay,
    from l = 1/T. The y_t (T times the shared parameters) are part of the state.

    ``libmtl_variant`` divides each gradient by its norm and multiplies it by its loss before, and uses a softmax
    instead of the projection, as LibMTL's code does after the authors'.
    """

    display: ClassVar[str] = "MoCo"
    paper: ClassVar[str] = "Fernando et al., ICLR 2023 (arXiv 2210.12624)"
    paper_title: ClassVar[str] = "Mitigating Gradient Bias in Multi-objective Learning: A Provably Convergent Approach"
    needs_gradients: ClassVar[bool] = True

    tracked_gradients: Tensor
    shares: Tensor
    steps: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        beta: Annotated[
            float, Field(gt=0, le=1, description="step size of the tracked gradients"), Search(0.1, 1.0)
        ] = 0.5,
        beta_decay: Annotated[float, Field(ge=0, description="beta is divided by step^beta_decay")] = 0.5,
        gamma: Annotated[float, Field(gt=0, description="step size of the weights"), Search(1e-3, 1.0, log=True)] = 0.1,
        gamma_decay: Annotated[float, Field(ge=0, description="gamma is divided by step^gamma_decay")] = 0.5,
        rho: Annotated[
            float, Field(ge=0, description="regularisation of the weights"), Search(values=(0.0, 1e-3, 1e-2, 1e-1))
        ] = 0.0,
        libmtl_variant: Annotated[bool, Field(description="gradients of length L_t; softmax, no projection")] = False,
    ) -> None:
        super().__init__(tasks)
        self.beta, self.beta_decay = beta, beta_decay
        self.gamma, self.gamma_decay = gamma, gamma_decay
        self.rho = rho
        self.libmtl_variant = libmtl_variant
        self.register_rows("tracked_gradients")
        self.register_buffer("shares", torch.full((self.count,), 1.0 / self.count, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))

    def combine(self, rows: GradientRows, gram: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The combination of the tracked gradients (P,) and the weights (T,)."""
        self.steps += 1
        if self.libmtl_variant:
            lengths = losses / (gram.diagonal().sqrt() + 1e-8)
            rows.matrix.mul_(lengths[:, None].to(rows.matrix.dtype))
        tracked = self.tracked("tracked_gradients", rows)
        tracked.lerp_(rows.matrix, (self.beta / self.steps**self.beta_decay).to(tracked.dtype))
        slope = rows.gram(tracked) @ self.shares + self.rho * self.shares
        moved = self.shares - self.gamma / self.steps**self.gamma_decay * slope
        self.shares.copy_(torch.softmax(moved, dim=0) if self.libmtl_variant else onto_simplex(moved))
        return rows.combination(self.shares, tracked), self.shares.clone()
