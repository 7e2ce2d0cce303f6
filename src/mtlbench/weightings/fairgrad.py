"""FairGrad: alpha-fair allocation of the improvement among the tasks."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._equations import power_balance


class FairGrad(GradientWeighting):
    """Positive weights with G G^T w = w^(-1/alpha): maximal alpha-fair utility of the tasks' rates of decrease.

    Ban and Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024 (arXiv 2402.15638), eq. 7. alpha = 1 is
    proportional fairness, the equation of Nash-MTL. Departure: Newton's method on the convex problem behind it
    instead of nonlinear least squares; some codes (not LibMTL) also multiply the result by T.
    """

    display: ClassVar[str] = "FairGrad"
    paper: ClassVar[str] = "Ban and Ji, ICML 2024 (arXiv 2402.15638)"
    paper_title: ClassVar[str] = "Fair Resource Allocation in Multi-Task Learning"
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        alpha: Annotated[
            float,
            Field(gt=0, description="fairness; large values approach max-min fairness"),
            Search(0.5, 8.0, log=True),
        ] = 2.0,
    ) -> None:
        super().__init__(tasks)
        self.alpha = alpha

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,)."""
        weights, failed = power_balance(gram, 1.0 / self.alpha)
        self.record_failure(failed)
        return weights
