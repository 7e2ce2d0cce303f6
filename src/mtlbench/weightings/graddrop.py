"""Gradient sign dropout."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientRows, GradientWeighting


class GradDrop(GradientWeighting):
    """For every coordinate one sign is drawn; gradients of the other sign are dropped, the rest is summed.

    Chen et al., "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout", NeurIPS 2020
    (arXiv 2010.06808), algorithm 1: the positive sign is kept with the probability P = (1 + sum g / sum |g|) / 2, the
    sign purity. Departure: like nash-mtl and torchjd this acts on the gradients of the shared parameters; the paper
    acts on those of activations. The logged weight is the share of a task's gradient (sum of absolute values) kept.
    """

    display: ClassVar[str] = "GradDrop"
    paper: ClassVar[str] = "Chen et al., NeurIPS 2020 (arXiv 2010.06808)"
    paper_title: ClassVar[str] = "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout"
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        leak: Annotated[
            float, Field(ge=0, le=1, description="share of the dropped gradients that passes"), Search(0.0, 0.9)
        ] = 0.0,
    ) -> None:
        super().__init__(tasks)
        self.leak = leak

    def combine(self, rows: GradientRows, gram: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The masked sum (P,) and the kept shares (T,)."""
        sizes = torch.zeros(2, self.count, dtype=torch.float64, device=gram.device)
        for piece in rows.pieces():
            chosen, kept, size = self._drop(rows.matrix[:, piece])
            rows.combined[piece] = chosen
            sizes += torch.stack([kept, size])
        kept, size = sizes
        return rows.combined, torch.where(size > 0, kept / size, torch.ones_like(size))

    def _drop(self, gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The masked sum of gradients (T, p), and the kept and the whole sums of absolute values (T,)."""
        positive = gradients.clamp_min(0.0)
        negative = gradients - positive
        up, down = positive.sum(0), negative.sum(0)
        # A coordinate without any gradient compares 0 with 0; its sum is 0 either way.
        keep_positive = torch.rand_like(up) * (up - down) < up
        # NaN passes through both sums, so choosing one cannot hide it.
        chosen = torch.where(keep_positive, up, down)
        share = torch.where(keep_positive, 1.0, self.leak).to(gradients.dtype)
        kept = positive @ share - negative @ (1.0 + self.leak - share)
        size = positive.sum(1) - negative.sum(1)
        return chosen + self.leak * (up + down - chosen), kept.double(), size.double()
