"""Soft optimal uncertainty weighting: softmax of the inverse losses."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting, positive


class UWSO(Weighting):
    """Weights softmax((1 / L_t) / temperature), the closed-form optimum of uncertainty weighting, softened.

    Kirchdorfer et al., "Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning", GCPR 2024 (arXiv
    2408.07985): for the current loss the best variance is L_t itself, which gives weights 1 / L_t; the softmax with
    a temperature keeps them apart from extremes. The losses in the weights are constants (no gradient flows
    through them). The weights sum to 1. The paper tunes the temperature for each dataset.
    """

    display: ClassVar[str] = "UW-SO"
    paper: ClassVar[str] = "Kirchdorfer et al., GCPR 2024 (arXiv 2408.07985)"
    paper_title: ClassVar[str] = "Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning"

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        temperature: Annotated[
            float,
            Field(gt=0, description="softmax temperature; larger is nearer to equal"),
            Search(0.1, 20.0, log=True),
        ] = 1.0,
    ) -> None:
        super().__init__(tasks)
        self.temperature = temperature

    def weights(self, losses: Tensor) -> Tensor:
        """The softmax (T,) of the inverse losses."""
        return torch.softmax(1.0 / (positive(losses) * self.temperature), dim=0)
