"""Gradient vaccine: gradients are turned towards each other up to their usual angle."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting
from mtlbench.weightings.pcgrad import random_orders

# Keeps the correction finite where a pair has been parallel so far.
_LARGEST_TARGET = 1 - 1e-6


class GradVac(GradientWeighting):
    """The sum of the gradients after each got a part of every other one whose cosine is below its running mean.

    Wang et al., "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual
    Models", ICLR 2021 (arXiv 2010.05874), algorithm 1 with the whole shared model as one component: over the other
    tasks j in random order, with c = cos(g_i, g_j) and target p, where c < p:
    g_i += g_j |g_i| (p sqrt(1 - c^2) - c sqrt(1 - p^2)) / (|g_j| sqrt(1 - p^2)); then p = (1 - beta) p + beta c. The
    targets start at 0. LibMTL moves the target only where c < p; the paper (and this) at every pair.
    """

    display: ClassVar[str] = "GradVac"
    paper: ClassVar[str] = "Wang et al., ICLR 2021 (arXiv 2010.05874)"
    paper_title: ClassVar[str] = (
        "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual Models"
    )
    needs_gradients: ClassVar[bool] = True

    targets: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        beta: Annotated[
            float,
            Field(gt=0, le=1, description="how fast the target follows; the paper used 0.01"),
            Search(1e-3, 1.0, log=True),
        ] = 0.5,
    ) -> None:
        super().__init__(tasks)
        self.beta = beta
        self.register_buffer("targets", torch.zeros(self.count, self.count, dtype=torch.float64))

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The sum (T,) of the turned gradients' coefficients; updates the targets."""
        coefficients = torch.eye(self.count, dtype=gram.dtype, device=gram.device)
        own = torch.eye(self.count, dtype=torch.bool, device=gram.device)
        norms = gram.diagonal().sqrt()
        for others in random_orders(self.count, gram.device):
            # Every row i meets one other task; what is computed at the remaining places is not used.
            products = coefficients @ gram
            lengths = (products * coefficients).sum(1, keepdim=True).clamp_min(0.0).sqrt()
            usable = others & ~own & (lengths > 0) & (norms > 0)
            cosine = (products / torch.where(usable, lengths * norms, 1.0)).clamp(-1.0, 1.0)
            target = self.targets.clamp(-_LARGEST_TARGET, _LARGEST_TARGET)
            wanted, actual = (1.0 - target.square()).sqrt(), (1.0 - cosine.square()).sqrt()
            added = lengths * (target * actual - cosine * wanted) / (torch.where(usable, norms, 1.0) * wanted)
            coefficients = torch.where(usable & (cosine < target), coefficients + added, coefficients)
            self.targets.copy_(torch.where(usable, (1.0 - self.beta) * target + self.beta * cosine, self.targets))
        return coefficients.sum(0)
