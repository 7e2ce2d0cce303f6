"""Random loss weighting."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.weightings import Weighting


class RLW(Weighting):
    """Weights softmax(z), z standard normal, drawn anew at every step.

    Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning", TMLR 2022
    (arXiv 2111.10603), algorithm 2. The weights sum to 1, so compared with ``equal`` the step is 1/T as long on
    average; ``times_tasks`` multiplies by T. The draw comes from torch's generator of the device, which the
    training loop seeds at every step.
    """

    display: ClassVar[str] = "RLW"
    paper: ClassVar[str] = "Lin et al., TMLR 2022 (arXiv 2111.10603)"
    paper_title: ClassVar[str] = "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning"

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        times_tasks: Annotated[bool, Field(description="multiply the weights by T, so that they sum to T")] = False,
    ) -> None:
        super().__init__(tasks)
        self.total = float(self.count if times_tasks else 1)

    def weights(self, losses: Tensor) -> Tensor:
        """Random weights (T,) of sum 1 (or T)."""
        return self.total * torch.softmax(torch.randn_like(losses), dim=0)
