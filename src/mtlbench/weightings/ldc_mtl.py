"""Loss discrepancy control: normalised losses that are pulled together."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting


class LDCMTL(Weighting):
    """The mean of the losses l_t = L_t / tau_t plus penalty times the sum of abs(l_t - l_t+1) over neighbouring tasks.

    Xiao et al., "LDC-MTL: Balancing Multi-Task Learning through Scalable Loss Discrepancy Control", 2025 (arXiv
    2502.08585), in the form of the authors' code for NYUv2: tau_t = L_t(0) / min L(0), where L_t(0) is the task's first
    loss above 0. Neighbours are those in the order of the tasks, so with three tasks or more the order counts.

    Departure: the authors multiply each l_t by a share between 0.2 and 0.8, which a small network in the model (the
    router) finds from the image's features and which is trained with it. Here there is no router: all shares are 1.
    """

    display: ClassVar[str] = "LDC-MTL (no router)"
    paper: ClassVar[str] = "Xiao et al., 2025 (arXiv 2502.08585)"
    paper_title: ClassVar[str] = "LDC-MTL: Balancing Multi-Task Learning through Scalable Loss Discrepancy Control"

    first: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        penalty: Annotated[
            float,
            Field(ge=0, description="lambda, of the differences: 0.1 for Cityscapes, 0.05 for NYUv2"),
            Search(0.01, 1.0, log=True),
        ] = 0.1,
    ) -> None:
        super().__init__(tasks)
        self.penalty = penalty
        self.register_buffer("first", torch.zeros(self.count))

    def weights(self, losses: Tensor) -> Tensor:
        """The weights (T,): the derivative of the total with respect to each loss; may be negative."""
        self.first.copy_(torch.where(self.first > 0, self.first, losses.clamp_min(0.0)))
        seen = self.first > 0
        smallest = torch.where(seen, self.first, torch.inf).min()
        scale = torch.where(seen, self.first / smallest, 1.0)
        normalised = losses / scale
        above = (normalised[:-1] - normalised[1:]).sign()
        return (1.0 / self.count + self.penalty * (pad(above, (0, 1)) - pad(above, (1, 0)))) / scale
