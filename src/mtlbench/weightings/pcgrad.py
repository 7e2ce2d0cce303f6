"""Projecting conflicting gradients (gradient surgery)."""

from typing import ClassVar

import torch
from torch import Tensor

from mtlbench.weightings import GradientWeighting


class PCGrad(GradientWeighting):
    """The sum of the gradients after each was projected off every other one that it conflicts with.

    Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020 (arXiv 2001.06782), algorithm 1: for every
    task i, over the other tasks j in random order, g_i loses its part along g_j when their product is negative. All
    projections stay in the span of the gradients, so they are done on coefficients with the Gram matrix.
    """

    display: ClassVar[str] = "PCGrad"
    paper: ClassVar[str] = "Yu et al., NeurIPS 2020 (arXiv 2001.06782)"
    paper_title: ClassVar[str] = "Gradient Surgery for Multi-Task Learning"
    needs_gradients: ClassVar[bool] = True

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The sum (T,) of the projected gradients' coefficients."""
        squared = gram.diagonal()
        safe = torch.where(squared > 0, squared, torch.ones_like(squared))
        coefficients = torch.eye(self.count, dtype=gram.dtype, device=gram.device)
        own = torch.eye(self.count, dtype=torch.bool, device=gram.device)
        for others in random_orders(self.count, gram.device):
            # Row i is g_i after the projections so far; its own index changes nothing.
            products = (coefficients * (others.to(gram.dtype) @ gram)).sum(1, keepdim=True)
            conflict = (products < 0) & others & ~own
            coefficients = torch.where(conflict, coefficients - products / safe, coefficients)
        return coefficients.sum(0)


def random_orders(count: int, device: torch.device) -> list[Tensor]:
    """For each row a random order of 0..count-1, as one boolean matrix (count, count) for each place in the order.

    Row i of matrix k marks the k-th number of row i. Draws from the device's generator; masks instead of indices,
    because scattering has no deterministic form on every device.
    """
    orders = torch.rand(count, count, device=device).argsort(dim=1)
    numbers = torch.arange(count, device=device)
    return [order[:, None] == numbers for order in orders.unbind(1)]
