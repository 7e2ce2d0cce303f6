"""Uncertainty weighting: a learned log-variance for each task."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting, detached


class Uncertainty(Weighting):
    """Learned homoscedastic uncertainty: the sum of exp(-s_t) L_t / 2 + s_t / 2 with log-variances s_t.

    Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
    Semantics", CVPR 2018 (arXiv 1705.07115), eq. 7 with s = log sigma^2. The paper writes another factor for
    classification (1 / sigma^2); like the codes in use this takes 1/2 for every task. The s_t are learned by the
    model's optimiser. The total may become negative, that is legitimate; the weight is exp(-s_t) / 2.
    """

    display: ClassVar[str] = "Uncertainty"
    paper: ClassVar[str] = "Kendall et al., CVPR 2018 (arXiv 1705.07115)"
    paper_title: ClassVar[str] = (
        "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics"
    )

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        start: Annotated[
            float,
            Field(description="log-variance at the start: -0.5 as in MTAN's code, 0 in the others"),
            Search(-2.0, 2.0),
        ] = -0.5,
    ) -> None:
        super().__init__(tasks)
        self.log_variance = nn.Parameter(torch.full((self.count,), start))

    def update(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
        """One pass over the weighted sum; the gradient of s_t is (1 - exp(-s_t) L_t) / 2."""
        weights = 0.5 * torch.exp(-self.log_variance.detach())
        self.log_variance.grad = 0.5 - weights * detached(losses)
        return self.apply_weights(losses, weights)
