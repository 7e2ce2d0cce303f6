"""Gradient sign dropout."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.weightings._gradients import GradientRows, GradientWeighting


class GradDrop(GradientWeighting):
    """For every coordinate one sign is drawn; gradients of the other sign are dropped, the rest is summed.

    Chen et al., "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout", NeurIPS 2020
    (arXiv 2010.06808), algorithm 1: the positive sign is kept with the probability P = (1 + sum g / sum |g|) / 2, the
    sign purity. Departure: like nash-mtl and torchjd this acts on the gradients of the shared parameters; the paper
    acts on those of activations. The logged weight is the share of a task's gradient (sum of absolute values) kept.
    """

    paper: ClassVar[str] = "Chen et al., NeurIPS 2020 (arXiv 2010.06808)"
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        leak: Annotated[float, Field(ge=0, le=1, description="share of the dropped gradients that passes")] = 0.0,
    ) -> None:
        super().__init__(tasks)
        self.leak = leak

    def combine(self, rows: GradientRows, gram: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The masked sum (P,) and the kept shares (T,)."""
        positive, negative = torch.zeros_like(rows.combined), torch.zeros_like(rows.combined)
        for row in rows.matrix:
            positive += row.clamp_min(0.0)
            negative += row.clamp_max(0.0)
        total = positive - negative
        purity = torch.where(total > 0, positive / total, torch.where(total.isnan(), total, 0.5))
        keep_positive = torch.rand_like(purity) < purity
        weights = torch.stack([self._kept(row, keep_positive) for row in rows.matrix])
        chosen = torch.where(keep_positive, positive, negative)
        # NaN in a coordinate stays NaN: clamping and choosing must not hide it.
        combined = torch.where(total.isnan(), total, chosen + self.leak * (positive + negative - chosen))
        return rows.combined.copy_(combined), weights

    def _kept(self, row: Tensor, keep_positive: Tensor) -> Tensor:
        size = row.abs()
        kept = torch.where(keep_positive == (row > 0), size, self.leak * size).sum(dtype=torch.float64)
        total = size.sum(dtype=torch.float64)
        return torch.where(total > 0, kept / total, torch.ones_like(total))
