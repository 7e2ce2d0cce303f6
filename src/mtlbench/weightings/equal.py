"""Equal weights: the plain sum of the losses."""

from typing import ClassVar

import torch
from torch import Tensor

from mtlbench.weightings import Weighting


class Equal(Weighting):
    """The sum of the task losses, weight 1 each.

    The baseline of every comparison. Some codes take the mean instead, which is the same under Adam and
    divides the learning rate by T under SGD.
    """

    display: ClassVar[str] = "Equal"
    paper: ClassVar[str] = "the sum of the losses (Caruana, Machine Learning 28, 1997)"
    compares_losses: ClassVar[bool] = False

    def weights(self, losses: Tensor) -> Tensor:
        """Ones (T,)."""
        return torch.ones_like(losses)
