"""Task losses weighted by the inverse of their size."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from mtlbench.weightings import Weighting, positive


class InverseLoss(Weighting):
    """Weights proportional to 1 / loss^power, summing to T."""

    paper: ClassVar[str] = "an example"

    def __init__(
        self, tasks: Sequence[str], *, power: Annotated[float, Field(ge=0, description="exponent of the loss")] = 1.0
    ) -> None:
        super().__init__(tasks)
        self.power = power

    def weights(self, losses: Tensor) -> Tensor:
        """Weights (T,) from the detached losses (T,)."""
        weights = (positive(losses) / positive(losses).mean()) ** -self.power
        return self.count * weights / weights.sum()
